"""Statistics of paired comparisons over problems."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import stats

from lrpilot.arrays import Floats

RESAMPLES = 5_000
TIE = 1e-4  # nats: differences below this are ties


@dataclass(frozen=True)
class Paired:
    """One method against another on the same problems; positive means the first is better.

    Attributes:
        mean: Mean gain in final log loss, nats.
        low: Lower end of the 95 % paired bootstrap interval of the mean.
        high: Its upper end.
        win: Share of problems that the first wins.
        tie: Share of problems within 1e-4 nats.
        loss: Share of problems that the first loses.
    """

    mean: float
    low: float
    high: float
    win: float
    tie: float
    loss: float

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


def paired(first: Floats, second: Floats) -> Paired:
    """Compare two methods whose columns are the same problems, averaged over the rows (seeds) first.

    Args:
        first: Final log losses, shape (P,) or (seeds, P); lower is better.
        second: The same for the other method.

    Returns:
        The comparison, with the interval over problems.

    Example:
        >>> paired(np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])).mean
        1.0
    """
    a, b = np.atleast_2d(first), np.atleast_2d(second)
    gain = b.mean(0) - a.mean(0)
    low, high = interval(gain)
    each = np.broadcast_to(b, (max(len(a), len(b)), b.shape[1])) - a
    win, loss = float((each > TIE).mean()), float((each < -TIE).mean())
    return Paired(float(gain.mean()), low, high, win, float(1 - win - loss), loss)


def interval(values: Floats) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of a mean (percentiles, fixed seed).

    Args:
        values: Shape (P,), one number a problem.

    Returns:
        Lower and upper end.
    """
    if np.ptp(values) == 0:
        return float(values[0]), float(values[0])
    result = stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
        batch=500,
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def interquartile_mean(values: Floats) -> float:
    """Return the mean of the middle half of all values.

    Args:
        values: Any shape.

    Returns:
        The interquartile mean.

    Example:
        >>> interquartile_mean(np.array([0.0, 1.0, 3.0, 100.0]))
        2.0
    """
    return float(stats.trim_mean(np.ravel(values), 0.25))
