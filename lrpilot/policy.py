"""A schedule policy is a data file: safetensors weights and a JSON card, checked before anything is used.

No pickle, no eval, no import by name: whatever is in the file, loading it runs none of it.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from lrpilot.arrays import shown
from lrpilot.card import CARD_KEY, MAX_BYTES, Card, PolicyError, read_header
from lrpilot.control import Control, Guard, Limits
from lrpilot.files import write_bytes
from lrpilot.schedule import Bound, Schedule
from lrpilot.signals import SIGNAL_NAMES

MAX_LAYERS, MAX_WIDTH = 8, 4096
SHIPPED = Path(__file__).parent / "policies"
SUFFIX = ".safetensors"
FINGERPRINTS = SHIPPED / "fingerprints.json"  # of the shipped policies, by name

Float32 = NDArray[np.float32]


class SchedulePolicy:
    """A trained map from observations to actions.

    Args:
        card: Provenance and meaning: `name`, `signals` (which it observes, in order), how it acts (see `Control`), and
            free entries such as `trained` and `results`. A card of an earlier format is migrated.
        layers: (weight, bias) of each layer, shapes (out, in) and (out,); tanh between them.

    Attributes:
        card: Plain JSON data in the present format.
        layers: As the argument.

    Raises:
        PolicyError: The card is malformed.
    """

    def __init__(self, card: Mapping[str, Any], layers: tuple[tuple[Float32, Float32], ...]) -> None:
        self.card, self.layers = Card(card), layers
        self._columns = np.array([SIGNAL_NAMES.index(name) for name in self.card.signals])

    @property
    def fingerprint(self) -> str:
        """SHA-256 over everything that determines its actions, as 64 hexadecimal digits."""
        digest = hashlib.sha256(json.dumps(self.card.meaning).encode())
        for weight, bias in self.layers:
            digest.update(weight.tobytes() + bias.tobytes())
        return digest.hexdigest()

    @property
    def control(self) -> Control:
        """When it decides and what its actions mean."""
        return self.card.control

    @property
    def reads_gradients(self) -> bool:
        """Whether gradient norms, where they can be had, change its actions."""
        return self.card.reads_gradients

    def action(self, observation: NDArray[Any]) -> Float32:
        """Evaluate the network.

        Args:
            observation: `Signals.vector`, shape (S,) or (S, B).

        Returns:
            The action in [-1, 1], shape () or (B,).
        """
        hidden = observation[self._columns].astype(np.float32)
        *inner, (weight, bias) = self.layers
        if hidden.ndim == 1:  # one run: without turning anything
            for w, b in inner:
                hidden = np.tanh(w @ hidden + b)
            return np.array(min(max((weight @ hidden + bias)[0], np.float32(-1)), np.float32(1)))
        for w, b in inner:
            hidden = np.tanh((w @ hidden).T + b).T
        action: Float32 = ((weight @ hidden).T + bias).T[0]
        return np.minimum(np.maximum(action, np.float32(-1)), np.float32(1))

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
        return Schedule(self.action, self.control, base_lr, horizon, bound, Limits(guard, lr_min, lr_max))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the policy file; it appears whole or not at all.

        Args:
            path: Where to, ending in `.safetensors`.
        """
        tensors: dict[str, Float32] = {}
        for index, (weight, bias) in enumerate(self.layers):
            parts = {f"{index}.weight": weight, f"{index}.bias": bias}
            tensors |= {name: np.ascontiguousarray(part) for name, part in parts.items()}  # others are written wrong
        card = json.dumps(self.card, allow_nan=False)
        write_bytes(Path(path), save(tensors, metadata={CARD_KEY: card}))


def list_policies() -> list[str]:
    """Return the names of the shipped, trained policies, sorted.

    Example:
        >>> "nmf" in list_policies()
        True
    """
    return sorted(path.stem for path in SHIPPED.glob(f"*{SUFFIX}"))


def load_policy(policy: str | os.PathLike[str], fingerprint: str | None = None) -> SchedulePolicy:
    """Load a shipped policy by name, or any policy file by path.

    Args:
        policy: One of `list_policies()`, or a path.
        fingerprint: If given, the `fingerprint` that the policy must have, or its first 8 digits or more: pin it in
            a training script, and no other file is taken for the one that you measured.

    Returns:
        The checked policy.

    Raises:
        PolicyError: There is no such policy, the file is malformed in any way, or it is another one than it must be.
        TypeError: It is neither a name nor a path.

    Example:
        >>> load_policy("nmf").card["action"]
        'fraction_of_bound'
    """
    path = _path(policy)
    if path.stat().st_size > MAX_BYTES:
        raise PolicyError(f"{path}: larger than {MAX_BYTES:,} bytes; a policy is about 20 kB")
    card = read_header(path)
    try:
        loaded = SchedulePolicy(card, _checked_layers(_tensors(path), len(card.signals)))
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None
    if fingerprint is not None and not (len(fingerprint) >= 8 and loaded.fingerprint.startswith(fingerprint)):
        raise PolicyError(f"{path}: fingerprint is {loaded.fingerprint}, must be {fingerprint} (8 digits at least)")
    return loaded


def known_fingerprint(policy: str | os.PathLike[str]) -> str | None:
    """Return the fingerprint that a shipped policy had when it was released; None for other files."""
    known: dict[str, str] = json.loads(FINGERPRINTS.read_text(encoding="utf-8"))
    path = _path(policy)
    return known.get(path.stem) if path.parent == SHIPPED else None


def read_card(policy: str | os.PathLike[str]) -> Card:
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
    return read_header(_path(policy))


def _path(policy: str | os.PathLike[str]) -> Path:
    if not isinstance(policy, str | os.PathLike):
        shipped = ", ".join(list_policies())
        raise TypeError(f"policy must be a name or a path, not {shown(policy)}: shipped are {shipped}")
    path = SHIPPED / f"{policy}{SUFFIX}" if policy in list_policies() else Path(policy)
    try:
        there = path.is_file()
    except OSError:  # a name that is too long, say
        there = False
    if not there:
        names = ", ".join(list_policies())
        raise PolicyError(
            f"no policy {shown(os.fspath(policy))}: shipped are {names}; or give the path of a policy file"
        )
    return path


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            for name in file.keys():  # noqa: SIM118 (not a dictionary)
                if file.get_slice(name).get_dtype() != "F32":
                    raise PolicyError(f"tensor {name!r} is {file.get_slice(name).get_dtype()}, must be F32")
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise PolicyError(f"not a whole safetensors file ({error})") from None


def _checked_layers(tensors: Mapping[str, NDArray[Any]], inputs: int) -> tuple[tuple[Float32, Float32], ...]:
    """The layers, once their names, shapes and values are known to form a network with one output."""
    depth = len(tensors) // 2
    expected = {f"{index}.{part}" for index in range(depth) for part in ("weight", "bias")}
    if not 0 < depth <= MAX_LAYERS or set(tensors) != expected:
        raise PolicyError(
            f"tensors are {sorted(tensors)[:20]}, must be 0.weight, 0.bias, 1.weight, … ({MAX_LAYERS} layers at most)"
        )
    layers = []
    for index in range(depth):
        weight, bias = tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        outputs = 1 if index == depth - 1 else bias.size
        if bias.shape != (outputs,) or weight.shape != (outputs, inputs) or not 0 < outputs <= MAX_WIDTH:
            raise PolicyError(
                f"layer {index} has shapes {weight.shape}, {bias.shape}, must be ({outputs}, {inputs}), ({outputs},)"
            )
        if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
            raise PolicyError(f"layer {index} holds a number that is not finite")
        layers.append((np.ascontiguousarray(weight), np.ascontiguousarray(bias)))
        inputs = outputs
    return tuple(layers)
