"""A schedule policy is a data file: safetensors weights and a JSON card, checked before anything is used.

No pickle, no eval, no import by name: whatever is in the file, loading it runs none of it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lrpilot.anchor import Anchor
from lrpilot.card import ACTIONS as ACTIONS
from lrpilot.card import CARD_KEY as CARD_KEY
from lrpilot.card import FORMAT as FORMAT
from lrpilot.card import MAX_BYTES, Refuse, card_of, refusal
from lrpilot.card import PolicyError as PolicyError
from lrpilot.clipping import Guard
from lrpilot.schedule import Bound, Schedule
from lrpilot.signals import GRADIENT_SIGNALS, SIGNAL_NAMES

MAX_LAYERS, MAX_WIDTH = 8, 4096
SHIPPED = Path(__file__).parent / "policies"
SUFFIX = ".safetensors"

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class SchedulePolicy:
    """A trained map from observations to actions.

    Attributes:
        card: Provenance and meaning, plain JSON data: `name`, `action` (what the LR is a multiple of), `signals`
            (which it observes, in order), `decisions` (a run), `log_low` and `log_high` (log multiple of
            the anchor at the actions -1 and 1), optionally `anchor`, and `max_change` with `log_start` where actions
            change that log instead of setting it; and free fields such as `trained` and `results`.
        layers: (weight, bias) of each layer, shapes (out, in) and (out,); tanh between them.
    """

    card: dict[str, Any]
    layers: tuple[tuple[Float32, Float32], ...]

    def __post_init__(self) -> None:
        columns = np.array([SIGNAL_NAMES.index(name) for name in self.card["signals"]])
        object.__setattr__(self, "_columns", columns)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that determines its actions, as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        meaning = [self.card[key] for key in ("action", "signals", "decisions", "log_low", "log_high")]
        meaning += [] if self.anchor == "constant" else [self.anchor]
        meaning += [self.card[key] for key in ("max_change", "log_start", "reflex", "power") if key in self.card]
        digest.update(json.dumps(meaning).encode())
        for weight, bias in self.layers:
            digest.update(weight.tobytes() + bias.tobytes())
        return digest.hexdigest()

    @property
    def anchor(self) -> Anchor:
        """Base schedule that the action is a multiple of; constant where the card names none."""
        anchor: Anchor = self.card.get("anchor", "constant")
        return anchor

    @property
    def reads_gradients(self) -> bool:
        """Whether gradient norms, where they can be had, change its actions."""
        return bool(GRADIENT_SIGNALS & {*self.card["signals"]})

    def action(self, observation: NDArray[Any]) -> Float32:
        """Evaluate the network.

        Args:
            observation: `Signals.vector`, shape (S,) or (S, B).

        Returns:
            The action in [-1, 1], shape () or (B,).
        """
        columns: NDArray[np.int64] = object.__getattribute__(self, "_columns")
        hidden = observation[columns].astype(np.float32)
        for weight, bias in self.layers[:-1]:
            hidden = np.tanh((weight @ hidden).T + bias).T
        weight, bias = self.layers[-1]
        action: Float32 = ((weight @ hidden).T + bias).T[0]
        return np.minimum(np.maximum(action, np.float32(-1)), np.float32(1))

    def log_multiple(self, observation: NDArray[Any], current: float) -> float:
        """Log of the LR over its reference and anchor that the policy wants.

        Args:
            observation: `Signals.vector`, shape (S,).
            current: That log until now; `log_start` at first. Only policies with a `max_change` depend on it.
        """
        low, high, action = self.card["log_low"], self.card["log_high"], float(self.action(observation))
        max_change = self.card.get("max_change")
        if max_change is None:
            return float(low + (action + 1) / 2 * (high - low))
        return float(min(max(current + action * max_change, low), high))

    def schedule(
        self,
        base_lr: float,
        horizon: int,
        *,
        bound: Bound | None = None,
        lr_min: float | None = None,
        lr_max: float | None = None,
        guard: Guard = "strict",
    ) -> Schedule:
        """Return a new schedule for one run: a plain callable, loss in, LR out.

        Args:
            base_lr: The LR you would have used, per step. For a `fraction_of_bound` policy without a `bound` it
                stands for the bound.
            horizon: Number of calls the run will make; past it the LR holds its last value.
            bound: Returns the current largest stable LR per step; called once a step.
            lr_min: Smallest LR, absolute; a bound wins over it.
            lr_max: Largest LR, absolute.
            guard: "strict" never exceeds the bound, "relaxed" may pass it by a factor of 2, "off" ignores it.

        Returns:
            The schedule, with its first LR in `lr`.

        Raises:
            ValueError: An argument is out of range; the message names it.
        """
        return Schedule(
            self.log_multiple,
            base_lr,
            horizon,
            decisions=self.card["decisions"],
            power=self.card.get("power", 1.0),
            relative_to_bound=self.card["action"] == "fraction_of_bound",
            anchor=self.anchor,
            log_low=self.card["log_low"],
            log_start=self.card.get("log_start", 0.0),
            reflex=self.card.get("reflex"),
            bound=bound,
            lr_min=lr_min,
            lr_max=lr_max,
            guard=guard,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy file; it appears whole or not at all.

        Args:
            path: Where to, ending in `.safetensors`.
        """
        tensors: dict[str, Float32] = {}
        for index, (weight, bias) in enumerate(self.layers):
            parts = {f"{index}.weight": weight, f"{index}.bias": bias}
            tensors |= {name: np.ascontiguousarray(part) for name, part in parts.items()}  # others are written wrong
        card = json.dumps({"format": FORMAT, **self.card}, allow_nan=False)
        temporary = Path(f"{os.fspath(path)}.tmp")
        temporary.write_bytes(save(tensors, metadata={CARD_KEY: card}))
        temporary.replace(path)


def list_policies() -> list[str]:
    """Return the names of the shipped, trained policies, sorted.

    Example:
        >>> "nmf" in list_policies()
        True
    """
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def load_policy(policy: str | os.PathLike[str]) -> SchedulePolicy:
    """Load a shipped policy by name, or any policy file by path.

    Args:
        policy: One of `list_policies()`, or a path.

    Returns:
        The checked policy.

    Raises:
        PolicyError: There is no such policy, or the file is malformed in any way.

    Example:
        >>> load_policy("nmf").card["action"]
        'fraction_of_bound'
    """
    path = _path(policy)
    refuse = refusal(path)
    if path.stat().st_size > MAX_BYTES:
        refuse(f"larger than {MAX_BYTES:,} bytes; a policy is about 20 kB")
    card = card_of(path)
    return SchedulePolicy(card, _checked_layers(_tensors(path, refuse), len(card["signals"]), refuse))


def read_card(policy: str | os.PathLike[str]) -> dict[str, Any]:
    """Read the card of a policy without its weights, which may be damaged, or far too large.

    Args:
        policy: One of `list_policies()`, or a path.

    Returns:
        The checked card.

    Raises:
        PolicyError: There is no such policy, or its card is malformed.

    Example:
        >>> read_card("nmf")["log_high"]
        0.0
    """
    return card_of(_path(policy))


def _path(policy: str | os.PathLike[str]) -> Path:
    path = SHIPPED / f"{policy}{SUFFIX}" if policy in list_policies() else Path(policy)
    if not path.is_file():
        names = ", ".join(list_policies())
        raise PolicyError(f"no policy {os.fspath(policy)!r}: shipped are {names}; or give the path of a policy file")
    return path


def _tensors(path: Path, refuse: Refuse) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (not a dictionary)
                if file.get_slice(name).get_dtype() != "F32":
                    refuse(f"tensor {name!r} is {file.get_slice(name).get_dtype()}, must be F32")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        refuse(f"not a whole safetensors file ({error})")


def _checked_layers(
    tensors: Mapping[str, NDArray[Any]], inputs: int, refuse: Refuse
) -> tuple[tuple[Float32, Float32], ...]:
    """The layers, once their names, shapes and values are known to form a network with one output."""
    depth = len(tensors) // 2
    expected = {f"{index}.{part}" for index in range(depth) for part in ("weight", "bias")}
    if not 0 < depth <= MAX_LAYERS or set(tensors) != expected:
        refuse(
            f"tensors are {sorted(tensors)[:20]}, must be 0.weight, 0.bias, 1.weight, … ({MAX_LAYERS} layers at most)"
        )
    layers = []
    for index in range(depth):
        weight, bias = tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        outputs = 1 if index == depth - 1 else bias.size
        if bias.shape != (outputs,) or weight.shape != (outputs, inputs) or not 0 < outputs <= MAX_WIDTH:
            refuse(
                f"layer {index} has shapes {weight.shape}, {bias.shape}, must be ({outputs}, {inputs}), ({outputs},)"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            refuse(f"layer {index} holds a number that is not finite")
        layers.append((np.ascontiguousarray(weight), np.ascontiguousarray(bias)))
        inputs = outputs
    return tuple(layers)
