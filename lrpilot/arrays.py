"""Numbers of one run (Python floats) or of B runs side by side (arrays): their types, and functions that take both.

On single numbers NumPy's functions are about ten times slower than the standard library's.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = float | Floats  # one run, or B runs side by side
Weights = NDArray[np.floating[Any]]  # parameters: (P,) for one run, (B, P) for B runs

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
