"""The card of a policy file: what the policy observes and what its actions mean, read without its weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from lrpilot.anchor import ANCHORS
from lrpilot.signals import SIGNAL_NAMES

FORMAT = 1
CARD_KEY = "lrpilot"
ACTIONS = ("fraction_of_bound", "multiple_of_base")
MAX_BYTES, MAX_DEPTH, MAX_LOG = 16_000_000, 16, 20.0
LENGTH_BYTES = 8  # a safetensors file: the length of the header, little-endian; the header, JSON; the weights

Refuse = Callable[[str], NoReturn]


class PolicyError(ValueError):
    """A policy file that can't be trusted, or a policy that does not exist; the message says what and where."""


def refusal(path: Path) -> Refuse:
    """Return a function that raises `PolicyError`.

    Args:
        path: The file that the error names.

    Returns:
        A function of one sentence, what is wrong with the file.
    """

    def refuse(what: str) -> NoReturn:
        raise PolicyError(f"{path}: {what}")

    return refuse


def card_of(path: Path) -> dict[str, Any]:
    """Read the card of a policy file: its header and nothing behind it, however large or damaged the rest is.

    Args:
        path: An existing file.

    Returns:
        The card, each field that determines an LR checked; whether the weights fit to it is left open.

    Raises:
        PolicyError: The header is cut off, or it or the card is malformed.

    Example:
        >>> from lrpilot.policy import SHIPPED
        >>> card_of(SHIPPED / "nmf.safetensors")["decisions"]
        40
    """
    refuse = refusal(path)
    return _checked(_metadata(path, refuse), refuse)


def _metadata(path: Path, refuse: Refuse) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(LENGTH_BYTES), "little")
            header = file.read(length) if length <= MAX_BYTES else b""
    except OSError as error:
        refuse(f"can't be read ({error.strerror})")
    if not 0 < length == len(header):
        refuse(f"not a whole safetensors file (a header of {length:,} bytes is announced, {len(header):,} are there)")
    try:
        metadata = json.loads(header).get("__metadata__", {})
    except (ValueError, RecursionError, AttributeError):
        refuse("not a whole safetensors file (the header is no JSON object)")
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


def _parsed(metadata: Mapping[str, Any], refuse: Refuse) -> dict[str, Any]:
    try:
        card = json.loads(metadata.get(CARD_KEY, ""), parse_float=_finite, parse_constant=_finite)
    except (ValueError, TypeError, RecursionError):
        refuse(f"metadata {CARD_KEY!r} is missing or is not JSON; this is no lrpilot policy")
    if not isinstance(card, dict):
        refuse(f"the card is a {type(card).__name__}, must be a JSON object")
    if _depth(card) > MAX_DEPTH:
        refuse(f"the card is nested deeper than {MAX_DEPTH} levels")
    return card


def _checked(metadata: Mapping[str, Any], refuse: Refuse) -> dict[str, Any]:
    card = _parsed(metadata, refuse)

    def check(key: str, good: Callable[[Any], bool], allowed: str) -> None:
        if key not in card:
            refuse(f"card has no {key!r}; it must be {allowed}")
        if not good(card[key]):
            refuse(f"card {key!r} is {str(card[key])[:60]!r}, must be {allowed}")

    def is_log(value: Any) -> bool:
        return type(value) in {int, float} and abs(value) <= MAX_LOG

    check("format", lambda v: type(v) is int and v == FORMAT, f"{FORMAT}")
    check("name", lambda v: isinstance(v, str) and 0 < len(v) <= 100, "a string of 1 to 100 characters")
    check("action", lambda v: v in ACTIONS, f"one of {', '.join(ACTIONS)}")
    check("decisions", lambda v: type(v) is int and 1 <= v <= 10_000, "an integer in 1..10000")
    check("log_low", is_log, f"a finite number within ±{MAX_LOG}")
    check("log_high", lambda v: is_log(v) and v > card["log_low"], "a finite number above 'log_low'")
    if "max_change" in card:
        check("max_change", lambda v: is_log(v) and v > 0, f"a positive number up to {MAX_LOG}")
        check("log_start", lambda v: is_log(v) and card["log_low"] <= v <= card["log_high"], "within log_low..log_high")
        if "reflex" in card:
            check("reflex", lambda v: is_log(v) and v > 0, f"a positive number up to {MAX_LOG}")
    if "power" in card:
        check("power", lambda v: type(v) in {int, float} and 1 <= v <= 4, "a number in 1..4")
    if "anchor" in card:
        check("anchor", lambda v: v in ANCHORS, f"one of {', '.join(ANCHORS)}")
    names = f"a list of different names out of {', '.join(SIGNAL_NAMES)}"
    check(
        "signals",
        lambda v: isinstance(v, list) and 0 < len(v) == len({*map(str, v)} & {*SIGNAL_NAMES}),
        names,
    )
    return card
