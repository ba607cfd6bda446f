"""Ranges that problems are drawn from, and what every distribution of problems does with them."""

from collections.abc import Mapping, Sequence

import numpy as np

from lrpilot.arrays import Floats

Range = tuple[float, float]  # lowest and highest value, both included


def check_ranges(problems: object, allowed: Mapping[str, Range], shares: Sequence[str] = ()) -> None:
    """Refuse ranges that are empty or reach too far, and shares that are none.

    Args:
        problems: Has an attribute for each of the names.
        allowed: The least and the largest value by name.
        shares: Names of numbers, or of tuples of them, that must be in 0..1; tuples also above 0, and not empty.

    Raises:
        ValueError: One is wrong; the message names it.
    """
    for name, (least, most) in allowed.items():
        low, high = getattr(problems, name)
        if not least <= low <= high <= most:
            raise ValueError(f"{name} must be [low, high] with {least} <= low <= high <= {most}, not [{low}, {high}]")
    for name in shares:
        value = getattr(problems, name)
        if not (value and all(0 < share <= 1 for share in value) if isinstance(value, tuple) else 0 <= value <= 1):
            kind = "shares in (0, 1], at least one" if isinstance(value, tuple) else "a share in 0..1"
            raise ValueError(f"{name} must be {kind}, not {value}")


def log_uniform(bounds: Range, count: int, rng: np.random.Generator) -> Floats:
    """Draw numbers whose logs are uniform.

    Args:
        bounds: Lowest and highest value, positive.
        count: How many.
        rng: Source of randomness.

    Returns:
        Shape (count,).
    """
    return np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), count))


def scale(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number drawn log-uniformly between the two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
