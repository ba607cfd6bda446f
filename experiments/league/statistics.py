"""Estimates over tasks × problems. The tasks are fixed; chance lies in the problems, drawn anew within each task."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import stats

from lrpilot.arrays import Floats
from lrpilot.experiments.stats import RESAMPLES, interquartile_mean

TIE = 0.01  # nats: final losses that differ by no more are a tie
FLIPS = 9_999  # random changes of sign; all 2^n are tried where they are no more


class Estimate(NamedTuple):
    """A number and its 95 % interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float


def interquartile(values: Floats) -> Estimate:
    """Interquartile mean over tasks × problems, with a stratified bootstrap interval.

    Agarwal et al. 2021, arXiv 2108.13264: the mean of the middle half of all values; a resample draws as many
    problems as there were within each task. Percentiles of 5,000 resamples with a fixed seed.

    Args:
        values: Shape (T, P), P ≥ 2, in a unit in which tasks are comparable.

    Returns:
        The estimate.

    Example:
        >>> interquartile(np.array([[0.0, 1.0], [3.0, 100.0]])).value
        2.0
    """

    def middle(*tasks: Floats, axis: int = -1) -> Floats:
        return np.asarray(stats.trim_mean(np.concatenate(tasks, axis), 0.25, axis=axis))

    return Estimate(interquartile_mean(values), *_stratified(values, middle))


def mean_over_tasks(values: Floats) -> Estimate:
    """Mean over tasks of the means over problems, with a stratified bootstrap interval.

    Args:
        values: Shape (T, P), P ≥ 2, such as the gains of one rival over another.

    Returns:
        The estimate; its interval is drawn as that of `interquartile`. With few problems it is a little narrow: of 800
        intervals for normal values on 9 tasks, 94 % held the true mean with 8 problems and 93 % with 12.

    Example:
        >>> mean_over_tasks(np.array([[0.5, 0.5], [0.25, 0.25]]))
        Estimate(value=0.375, low=0.375, high=0.375)
    """

    def mean(*tasks: Floats, axis: int = -1) -> Floats:
        return np.asarray(np.concatenate(tasks, axis).mean(axis))

    return Estimate(float(values.mean()), *_stratified(values, mean))


def sign_flip_p(gains: Floats) -> float:
    """Two-sided p-value of paired gains: the chance of so large a mean if each gain were as likely with either sign.

    Fisher's randomisation test. Its statistic is the mean that is reported, and failed runs, which make gains far from
    normal, do it no harm. It speaks of new problems of the same tasks, not of new tasks.

    Args:
        gains: Shape (T, P).

    Returns:
        p; exact if 2^(T·P) ≤ 9,999, else over 9,999 random flips with a fixed seed, and then never under 2e-4.

    Example:
        All four are positive: 2 of the 16 choices of signs are as extreme.

        >>> sign_flip_p(np.array([[1.0, 2.0], [3.0, 4.0]]))
        0.125
    """
    test = stats.permutation_test(
        (np.ravel(gains),),
        np.mean,
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=1_000,
        rng=np.random.default_rng(0),
    )
    return float(test.pvalue)


def holm(p: Floats) -> Floats:
    """Adjust p-values so that the chance of any false discovery among all is at most the level they are compared with.

    Holm 1979, Scandinavian Journal of Statistics 6: the i-th smallest of m is multiplied by m − i + 1; none may then
    fall below a smaller one's, or exceed 1.

    Args:
        p: Shape (m,), of tests that may depend on each other in any way.

    Returns:
        Adjusted p, shape (m,).

    Example:
        >>> holm(np.array([0.04, 0.01, 0.03])).tolist()
        [0.06, 0.03, 0.06]
    """
    order = np.argsort(p)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1.0)
    return adjusted


def win_tie_loss(gains: Floats) -> tuple[float, float, float]:
    """Shares of task × problem that are won, tied (within 0.01 nats) and lost.

    Args:
        gains: Any shape, nats; positive is a win.

    Returns:
        The three shares, which sum to 1.

    Example:
        >>> win_tie_loss(np.array([0.5, 0.005, -0.005, -0.5]))
        (0.25, 0.5, 0.25)
    """
    win, loss = float((gains > TIE).mean()), float((gains < -TIE).mean())
    return win, float((abs(gains) <= TIE).mean()), loss


def _stratified(values: Floats, statistic: Callable[..., Floats]) -> tuple[float, float]:
    result = stats.bootstrap(
        tuple(values),
        statistic,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
        batch=500,
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)
