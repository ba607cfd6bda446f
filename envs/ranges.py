"""Ranges that problems are drawn from, and what every distribution of problems does with them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from lrpilot.arrays import Floats

Range = tuple[float, float]  # lowest and highest value, both included


def check_ranges(problems: object, allowed: Mapping[str, Range]) -> None:
    """Refuse ranges that are empty or reach too far.

    Args:
        problems: Has an attribute for each of the names.
        allowed: The least and the largest value by name.

    Raises:
        ValueError: A range is wrong; the message names it.
    """
    for name, (least, most) in allowed.items():
        low, high = getattr(problems, name)
        if not least <= low <= high <= most:
            limits = f"[low, high] with {least} <= low <= high <= {most}"
            raise ValueError(f"{name} must be {limits}, not [{low}, {high}]")


def log_uniform(bounds: Range, count: int, rng: np.random.Generator) -> Floats:
    """Draw numbers whose logs are uniform.

    Args:
        bounds: Lowest and highest value, positive.
        count: How many.
        rng: Source of randomness.

    Returns:
        Shape (count,).
    """
    values: Floats = np.exp(rng.uniform(np.log(bounds[0]), np.log(bounds[1]), count))
    return values


def scale(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number drawn log-uniformly between the two."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
