"""The card of a policy file: what the policy observes and what its actions mean, read without its weights."""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Any

from lrpilot.control import CONTROL_RULES, Control, OutOfRangeError
from lrpilot.errors import UserError
from lrpilot.signals import GRADIENT_SIGNALS, SIGNAL_NAMES, known_signals

CARD_KEY = "lrpilot"
MAX_BYTES, MAX_DEPTH = 16_000_000, 16
LENGTH_BYTES = 8  # a safetensors file: the length of the header, little-endian; the header, JSON; the weights
REQUIRED = ("action", "decisions", "log_low", "log_high")  # of the entries that say how the policy acts


class PolicyError(UserError):
    """A policy file that can't be trusted, or a policy that does not exist; the message says what and where."""


def _from_1(card: dict[str, Any]) -> dict[str, Any]:
    """`reflex` became `spike_guard`."""
    return {{"reflex": "spike_guard"}.get(key, key): value for key, value in card.items()}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}  # from a format to the next
FORMAT = len(MIGRATIONS) + 1


class Card(dict[str, Any]):
    """The card of a policy: plain JSON data whose entries that determine an LR are known to be in order.

    Args:
        entries: A card of any format; older ones are migrated. `name`, `signals` and the entries of `Control`; all
            others are free: `summary`, `not_for`, `results`, `selection`, `trained`.

    Raises:
        PolicyError: An entry is missing or wrong, or the format is newer than this version knows.
    """

    def __init__(self, entries: Mapping[str, Any]) -> None:
        super().__init__(_migrated(dict(entries)))
        for key, (_, allowed) in (_RULES | {key: CONTROL_RULES[key] for key in REQUIRED}).items():
            if key not in self:
                raise PolicyError(f"card has no {key!r}; it must be {allowed}")
        for key, (good, allowed) in _RULES.items():
            if not good(self[key]):
                raise _wrong(key, self[key], allowed)
        self.control  # noqa: B018 (checks it)

    @cached_property
    def control(self) -> Control:
        """How the policy acts."""
        given = {field.name: self[field.name] for field in fields(Control) if field.name in self}
        try:
            return Control(**given)
        except OutOfRangeError as error:
            raise _wrong(error.name, error.value, error.allowed) from None

    @property
    def signals(self) -> tuple[str, ...]:
        """Names of the signals that the policy observes, in order."""
        return tuple(self["signals"])

    @property
    def reads_gradients(self) -> bool:
        """Whether gradients and weights, where they can be had, change the policy's actions."""
        return not GRADIENT_SIGNALS.isdisjoint(self.signals)

    @property
    def meaning(self) -> list[Any]:
        """All that determines LRs beside the weights, in the order that fingerprints hash."""
        control = control_entries(self.control)
        order = ("decisions", "log_low", "log_high", "anchor", "max_change", "log_start", "spike_guard", "power")
        entries = (control[key] for key in (*order, "first_interval") if key in control)
        return [control["action"], self["signals"], *entries]


def control_entries(control: Control) -> dict[str, Any]:
    """Return the entries of a card that say how a policy acts: those that it must have, and those that are not plain.

    Args:
        control: How.

    Returns:
        Entries, such that `Control(**entries)` acts alike.
    """
    values = {field.name: getattr(control, field.name) for field in fields(Control)}
    plain = vars(Control()) | ({} if control.max_change is None else {"log_start": math.nan})
    return {key: value for key, value in values.items() if key in REQUIRED or value != plain[key]}


def read_header(path: Path) -> Card:
    """Read the card of a policy file: its header and nothing behind it, however large or damaged the rest is.

    Args:
        path: An existing file.

    Returns:
        The card; whether the weights fit to it is left open.

    Raises:
        PolicyError: The header is cut off, or it or the card is malformed; the message begins with the path.

    Example:
        >>> from lrpilot.policy import SHIPPED
        >>> read_header(SHIPPED / "nmf.safetensors")["decisions"]
        40
    """
    try:
        return Card(_parsed(_metadata(path)))
    except PolicyError as error:
        raise PolicyError(f"{path}: {error}") from None


def _metadata(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = file.read(length) if length <= MAX_BYTES else b""
    except OSError as error:
        raise PolicyError(f"can't be read ({error.strerror})") from None
    whole = "not a whole safetensors file"
    if not 0 < length == len(header):
        raise PolicyError(f"{whole} (a header of {length:,} bytes is announced, {len(header):,} are there)")
    try:
        metadata = json.loads(header).get("__metadata__", {})
    except (ValueError, RecursionError, AttributeError):
        raise PolicyError(f"{whole} (the header is no JSON object)") from None
    return metadata if isinstance(metadata, dict) else {}


def _finite(text: str) -> float:
    """JSON has no NaN and no infinity; Python's reader takes both, and 1e999."""
    if not math.isfinite(number := float(text)):
        raise ValueError(text)
    return number


def _depth(value: Any) -> int:
    """How deep lists and objects are nested: without recursion, since a stranger chose the depth."""
    level, depth = [value], 0
    while level := [inner for outer in level for inner in _inside(outer)]:
        depth += 1
    return depth


def _inside(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _parsed(metadata: Mapping[str, Any]) -> dict[str, Any]:
    try:
        card = json.loads(metadata.get(CARD_KEY, ""), parse_float=_finite, parse_constant=_finite)
    except (ValueError, TypeError, RecursionError):
        raise PolicyError(f"metadata {CARD_KEY!r} is missing or is not JSON; this is no lrpilot policy") from None
    if not isinstance(card, dict):
        raise PolicyError(f"the card is a {type(card).__name__}, must be a JSON object")
    if "format" not in card:
        raise PolicyError(f"card has no 'format'; it must be in 1..{FORMAT}")
    if _depth(card) > MAX_DEPTH:
        raise PolicyError(f"the card is nested deeper than {MAX_DEPTH} levels")
    return card


def _migrated(card: dict[str, Any]) -> dict[str, Any]:
    """The card in the present format."""
    version = card.get("format", FORMAT)
    if type(version) is not int or not 1 <= version <= FORMAT:
        newer = "; a newer lrpilot reads it" if type(version) is int and version > FORMAT else ""
        raise PolicyError(f"card 'format' is {version!r}, must be in 1..{FORMAT}{newer}")
    for step in range(version, FORMAT):
        card = MIGRATIONS[step](card)
    return {**card, "format": FORMAT}


def _wrong(key: str, value: object, allowed: str) -> PolicyError:
    return PolicyError(f"card {key!r} is {str(value)[:60]!r}, must be {allowed}")


_RULES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda v: isinstance(v, str) and 0 < len(v) <= 100, "a string of 1 to 100 characters"),
    "signals": (
        lambda v: isinstance(v, list | tuple) and known_signals(v),
        f"a list of different names out of {', '.join(SIGNAL_NAMES)}",
    ),
}
