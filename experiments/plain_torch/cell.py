"""One run of the benchmark, and what came of it."""

import math
from typing import NamedTuple

from lrpilot.agents.evaluate import DIVERGED_SCORE

LOWEST_SCORE = math.log(1e-4)
DIGITS = 4  # that scores are kept with, nats


class Cell(NamedTuple):
    """All that a run depends on.

    Attributes:
        network: Its name.
        version: Of its definition.
        horizon: Steps.
        schedule: One of `schedules.TUNED` or `schedules.PACKAGES`, or the fingerprint of a policy.
        octave: log2 of the base LR over the optimizer's usual LR.
        seed: Of weights and mini-batches.
        hidden: Whether gradients are hidden from the schedule.
    """

    network: str
    version: int
    horizon: int
    schedule: str
    octave: int
    seed: int
    hidden: bool = False


class Result(NamedTuple):
    """Log of held-out loss over that at the start, between log 1e-4 and log 10, nats.

    Attributes:
        last: At the end, on the samples to score by; log 10 if the run diverged.
        best: The same at the checkpoint at which `tuning` loss was least.
        tuning: At the end, on the samples to tune by.
        seconds: Of computing that the run took.
    """

    last: float
    best: float
    tuning: float
    seconds: float

    @property
    def diverged(self) -> bool:
        """Whether the last loss was not finite, or at least ten times that at the start."""
        return self.last >= round(DIVERGED_SCORE, DIGITS)


def log_ratio(loss: float, start: float) -> float:
    """Return the log of a loss over that at the start, rounded; log 10 if it is not finite or above.

    Args:
        loss: Held-out loss.
        start: The same before training, positive.

    Example:
        >>> log_ratio(1.0, 1.0), log_ratio(0.0, 1.0), log_ratio(float("nan"), 1.0)
        (0.0, -9.2103, 2.3026)
    """
    ratio = loss / start
    score = max(math.log(ratio), LOWEST_SCORE) if ratio > 0 else LOWEST_SCORE
    return round(score if ratio < math.exp(DIVERGED_SCORE) else DIVERGED_SCORE, DIGITS)
