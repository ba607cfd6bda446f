"""The one place between a policy and an optimizer: what a schedule wants becomes an LR that it may have.

Used by the training environment (arrays of B) and by the run-time scheduler (floats) alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

Guard = Literal["strict", "relaxed", "off"]
GUARDS: tuple[Guard, ...] = get_args(Guard)
RELAXED = 2.0  # "relaxed" may pass the bound by this factor
BACK_OFF, RECOVERY = 0.5, 2 ** (1 / 8)  # answer to an interval with a non-finite loss, and to one without
LOWEST_BACK_OFF = 2.0**-20


@dataclass(frozen=True)
class Limits:
    """Limits on an LR.

    Attributes:
        guard: "strict" never exceeds the bound, "relaxed" may pass it by a factor of 2, "off" ignores it
            (and policies that choose a fraction of it read it at decisions only).
        lr_min: Smallest LR per step, absolute. The bound wins where the two conflict.
        lr_max: Largest LR per step, absolute.

    Raises:
        ValueError: An unknown guard, or limits that are not 0 <= lr_min <= lr_max.
    """

    guard: Guard = "strict"
    lr_min: float | None = None
    lr_max: float | None = None

    def __post_init__(self) -> None:
        if self.guard not in GUARDS:
            raise ValueError(f"guard must be one of {', '.join(GUARDS)}, not {self.guard!r}")
        low = 0.0 if self.lr_min is None else self.lr_min
        high = np.inf if self.lr_max is None else self.lr_max
        if not 0 <= low <= high:
            raise ValueError(f"limits must satisfy 0 <= lr_min <= lr_max, not {self.lr_min} and {self.lr_max}")

    def clip(self, lr: Any, bound: Any = None) -> Any:
        """Return the LR that is allowed.

        Args:
            lr: Wanted LR per step, a float or shape (B,).
            bound: Largest stable LR per step, same shape; None where there is none.

        Returns:
            The allowed LR, same shape.

        Example:
            >>> float(Limits(lr_min=0.1).clip(0.5, bound=0.2)), float(Limits("off").clip(0.5, bound=0.2))
            (0.2, 0.5)
        """
        if self.lr_max is not None:
            lr = np.minimum(lr, self.lr_max)
        if self.lr_min is not None:
            lr = np.maximum(lr, self.lr_min)
        if bound is not None and self.guard != "off":
            lr = np.minimum(lr, bound if self.guard == "strict" else RELAXED * bound)
        return lr


def back_off(factor: float, saw_non_finite: bool) -> float:
    """Next value of the factor that answers non-finite losses: halved after one, recovering otherwise.

    Args:
        factor: The factor until now, in (0, 1].
        saw_non_finite: Whether the interval that just ended had a non-finite loss.

    Returns:
        The factor for the next interval, never below 2^-20 and never above 1.

    Example:
        >>> back_off(1.0, True), back_off(1.0, False)
        (0.5, 1.0)
    """
    return max(factor * BACK_OFF, LOWEST_BACK_OFF) if saw_non_finite else min(factor * RECOVERY, 1.0)
