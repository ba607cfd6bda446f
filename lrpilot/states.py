"""Saved states: what does not fit is refused before anything is changed."""

from collections.abc import Mapping
from typing import Any


class StateError(ValueError):
    """A state that can't be loaded; the message says why in one line."""


def check_alike(known: Any, given: Any, place: str = "state") -> None:
    """Make sure that a state has the kinds of value that one of the same scheduler has.

    Args:
        known: A state of the scheduler, or a part of one; entries that only one of both has are not looked at.
        given: The same of the state that is to be loaded.
        place: Where in the state this is, for the message.

    Raises:
        StateError: A number, a list, a text or a dictionary is something else.

    Example:
        >>> check_alike({"calls": 3}, {"calls": 4, "later": None})
        >>> check_alike({"calls": 3}, {"calls": "4"})
        Traceback (most recent call last):
        lrpilot.states.StateError: state: calls is a str, and must be a number
    """
    kinds: list[tuple[type | tuple[type, ...], Any, str]] = [
        (bool, bool, "True or False"),
        ((int, float), (int, float), "a number"),
        (str, str, "a text"),
        ((list, tuple), (list, tuple), "a list"),
        (dict, Mapping, "a dictionary"),
    ]
    for kind, allowed, name in kinds:
        if isinstance(known, kind) and given is not None:
            if not isinstance(given, allowed) or (name == "a number" and isinstance(given, bool)):
                raise StateError(f"{place} is a {type(given).__name__}, and must be {name}")
            break
    if isinstance(known, dict) and given is not None:
        for key in known.keys() & given.keys():
            check_alike(known[key], given[key], f"{place}: {key}" if place == "state" else f"{place}.{key}")
