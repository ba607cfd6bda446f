"""Numbers of one run (Python floats) or of B runs side by side (arrays): their types, and functions that take both.

On single numbers NumPy's functions are about ten times slower than the standard library's.
"""

import math
from collections.abc import Sequence
from numbers import Real
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = float | Floats  # one run, or B runs side by side
Weights = NDArray[np.floating[Any]]  # parameters: (P,) for one run, (B, P) for B runs

LARGEST_NUMBER = 1e300  # that an argument may be

FLOATS = SimpleNamespace(
    log=math.log,
    exp=math.exp,
    sqrt=math.sqrt,
    arcsinh=math.asinh,
    maximum=max,
    minimum=min,
    where=lambda choose, a, b: a if choose else b,
    isfinite=math.isfinite,
)


def elementary(value: Any) -> Any:
    """Return the elementary functions for the kind of number at hand, by NumPy's names; both agree to rounding.

    Args:
        value: A Python number or an array.

    Returns:
        NumPy for an array, else those of `FLOATS`.

    Example:
        >>> elementary(2.0).log(1.0)
        0.0
    """
    return np if isinstance(value, np.ndarray) else FLOATS


def number(name: str, value: Any, boolean: bool = False) -> float:
    """Return an argument as a Python number, so that it can be written into any state.

    Args:
        name: Of the argument, for the message.
        value: A number of any library, or what has one element and can be made one.
        boolean: Whether it must be True or False instead.

    Returns:
        An int if it is a whole number's type, else a float; a bool if it must be one.

    Raises:
        TypeError: It is no number.
        ValueError: It is finite and above 1e300.

    Example:
        >>> number("lr", np.float32(0.5)), number("cooldown", np.int64(2))
        (0.5, 2)
    """
    if math.prod(getattr(value, "shape", (2,))) == 1 and not getattr(value, "is_meta", False):
        value = value.item()
    if isinstance(value, bool) != boolean or not isinstance(value, int | float | Real):
        raise TypeError(f"{name} must be {'True or False' if boolean else 'a number'}, not {shown(value)}")
    if boolean:
        return bool(value)
    plain = int(value) if isinstance(value, int) else float(value)
    if LARGEST_NUMBER < abs(plain) < math.inf:
        raise ValueError(f"{name} must be a number up to {LARGEST_NUMBER:g}, not {shown(value)}")
    return plain


def shown(value: object) -> str:
    """Return what a value looks like in a message of one line.

    Example:
        >>> shown(np.ones((2, 2)))
        'array([[1., 1.], [1., 1.]])'
    """
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def choice(name: str, value: Any, allowed: Sequence[str | None]) -> None:
    """Make sure that an argument is one of a few words, or None where that is allowed.

    Raises:
        ValueError: It is not.
    """
    if not (value is None or isinstance(value, str)) or value not in allowed:
        raise ValueError(f"{name} must be {' or '.join(map(str, allowed))}, not {shown(value)}")


def positive(name: str, value: Any) -> float:
    """Return an argument that must be a positive, finite number, as a float.

    Args:
        name: Of the argument, for the message.
        value: As for `number`.

    Raises:
        TypeError: It is no number.
        ValueError: It is not positive, or not finite.

    Example:
        >>> positive("base_lr", 1)
        1.0
    """
    plain = number(name, value)
    if not 0 < plain < math.inf:
        raise ValueError(f"{name} must be a positive number, not {plain}")
    return float(plain)


def whole_number(value: float) -> bool:
    """Whether a number is finite and whole."""
    return math.isfinite(value) and int(value) == value


def whole(name: str, value: Any, least: int, unit: str) -> int:
    """Return an argument that counts something.

    Args:
        name: Of the argument, for the message.
        value: As for `number`; 20.0 is whole.
        least: Smallest value allowed.
        unit: What it counts.

    Returns:
        A Python int.

    Raises:
        TypeError: It is no number.
        ValueError: It is not whole, or too small.

    Example:
        >>> whole("horizon", 20.0, 1, "steps")
        20
    """
    plain = number(name, value)
    if not whole_number(plain) or plain < least:
        raise ValueError(f"{name} must be a whole number of {unit}, at least {least}, not {plain}")
    return int(plain)


def loss_number(loss: Any) -> float:
    """Return a loss as a float, finite or not.

    Args:
        loss: A number of any library, or an array with one element.

    Raises:
        TypeError: It is no number.
        ValueError: It has no element, or more than one, or no value.

    Example:
        >>> loss_number(np.ones((1, 1), dtype=np.float16))
        1.0
    """
    if math.prod(getattr(loss, "shape", ())) != 1:
        raise ValueError(f"loss must have one element, not shape {tuple(loss.shape)}")
    if getattr(loss, "is_meta", False):
        raise ValueError("loss must have a value, and tensors on the meta device have none")
    loss = loss.item() if hasattr(loss, "item") else loss
    try:
        return float(loss if not isinstance(loss, str | bytes) else None)  # type: ignore[arg-type]
    except OverflowError:
        return math.inf if loss > 0 else -math.inf
    except TypeError:
        raise TypeError(f"loss must be a number, or one in a tensor, not {shown(loss)}") from None
