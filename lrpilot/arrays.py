"""Numbers of one run (Python floats) or of B runs side by side (arrays): their types, and functions that take both.

On single numbers NumPy's functions are about ten times slower than the standard library's.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = float | Floats  # one run, or B runs side by side
Weights = NDArray[np.floating[Any]]  # parameters: (P,) for one run, (B, P) for B runs

Function = Callable[..., Any]


class Elementary(NamedTuple):
    """The functions that the formulas use; the two sets agree to rounding."""

    log: Function
    exp: Function
    sqrt: Function
    asinh: Function
    maximum: Function
    minimum: Function
    where: Function
    isfinite: Function


ARRAYS = Elementary(np.log, np.exp, np.sqrt, np.arcsinh, np.maximum, np.minimum, np.where, np.isfinite)
FLOATS = Elementary(
    math.log, math.exp, math.sqrt, math.asinh, max, min, lambda choose, a, b: a if choose else b, math.isfinite
)


def elementary(value: Any) -> Elementary:
    """Return the functions for the kind of number at hand.

    Args:
        value: A Python number or an array.

    Returns:
        `ARRAYS` for an array, else `FLOATS`.

    Example:
        >>> elementary(2.0).log(1.0)
        0.0
    """
    return ARRAYS if isinstance(value, np.ndarray) else FLOATS
