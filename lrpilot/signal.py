"""What a signal is: one entry of what a schedule observes; `lrpilot.signals` lists them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from lrpilot.arrays import Numbers
from lrpilot.summary import RANGE, Summary

SMALLEST_ERROR = 1e-4  # nats; differences of the level below it count as none
LONGEST_INTERVAL = 12.0  # steps of an interval; longer ones look the same, or no long run would look familiar


class Now(NamedTuple):
    """Where a run stands: share of its horizon used up, steps between two decisions, and horizon; () or (B,)."""

    progress: Numbers
    pace: Numbers
    horizon: Numbers


@dataclass(frozen=True)
class Signal:
    """One entry of the observation vector; all are dimensionless.

    Attributes:
        name: As cards and recipes have it.
        meaning: In words.
        unit: Of the value.
        value: Formula: from the running summary, the elementary functions and where the run stands; clipped to the
            range afterwards.
        low: Smallest value.
        high: Largest value.
        of_gradients: Whether it is read off gradients and weights; else 0 where they can't be read.
    """

    name: str
    meaning: str
    unit: str
    value: Callable[[Summary, Any, Now], Any]
    low: float = -RANGE
    high: float = RANGE
    of_gradients: bool = False


def squashed(f: Any, log: Numbers) -> Any:
    """A difference of logs on a scale that tells 1 % from 0, and 100 from 10."""
    return f.arcsinh(100.0 * log) / 2


def scored(s: Summary, f: Any, difference: Numbers) -> Any:
    """A difference of levels over its standard error."""
    error = f.sqrt(s.spread * s.spread / f.maximum(s.steps, 1.0) + SMALLEST_ERROR**2)
    return f.arcsinh(difference / error)


def log_steps(f: Any, steps: Numbers) -> Any:
    """A log of steps that long intervals share."""
    return f.log(f.maximum(f.minimum(steps, LONGEST_INTERVAL), 1.0)) / 3


def of_gradients(name: str, meaning: str, unit: str, value: Callable[[Summary], Any]) -> Signal:
    """A signal that is read off gradients and weights; 0 where they can't be read."""
    return Signal(name, meaning, unit, lambda s, f, now: value(s) * s.has_gradient, of_gradients=True)
