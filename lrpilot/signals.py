"""What a schedule may observe: a registry with one entry a signal. All are dimensionless.

Multiply the loss, the data or the LR by any constant and the observation stays the same (rounding apart). "Squashed"
is asinh(100 x) / 2: linear below 1 %, logarithmic above, so that a difference of log losses of 1 % and of a factor of
100 can both be told from 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lrpilot.arrays import FLOATS, Floats, Numbers, elementary
from lrpilot.signal import SMALLEST_ERROR, Now, Signal, log_steps, of_gradients, scored, squashed
from lrpilot.summary import RANGE, Summary

SIGNALS = (
    Signal("progress", "share of the horizon used up", "share", lambda s, f, now: now.progress, 0.0, 1.0),
    Signal(
        "log_multiple",
        "log of LR over reference (bound or base LR) in the last interval, / 3",
        "nats / 3",
        lambda s, f, now: s.log_multiple / 3,
    ),
    Signal(
        "level",
        "mean log loss of the last interval, minus the log of the first loss, / 5",
        "nats / 5",
        lambda s, f, now: s.level / 5,
    ),
    Signal(
        "change",
        "level minus the level one interval earlier, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.change),
    ),
    Signal(
        "fast",
        "level minus its fast average, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.level - s.fast),
    ),
    Signal(
        "slow",
        "level minus its slow average, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.level - s.slow),
    ),
    Signal(
        "slowest",
        "level minus its slowest average, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.level - s.slowest),
    ),
    Signal(
        "best",
        "level minus the best level so far, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.level - s.best),
        0.0,
    ),
    Signal(
        "trend",
        "fitted change of the log loss across the last interval, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.trend),
    ),
    Signal(
        "spread",
        "scatter of the log loss around that fit (standard deviation), squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, s.spread),
        0.0,
    ),
    Signal(
        "change_score",
        "change over its standard error (from the spread), asinh",
        "asinh of ratio",
        lambda s, f, now: scored(s, f, s.change),
    ),
    Signal(
        "slow_score",
        "level minus its slow average over its standard error, asinh",
        "asinh of ratio",
        lambda s, f, now: scored(s, f, s.level - s.slow),
    ),
    Signal(
        "since_best",
        "asinh of the intervals since the best level, / 1.5",
        "asinh of intervals",
        lambda s, f, now: f.arcsinh(s.since_best) / 1.5,
        0.0,
    ),
    Signal(
        "best_multiple",
        "log_multiple minus its value at the best level, / 3",
        "nats / 3",
        lambda s, f, now: (s.log_multiple - s.multiple_at_best) / 3,
    ),
    Signal(
        "steepest",
        "largest fall of the fast average in one interval so far, squashed",
        "squashed nats",
        lambda s, f, now: squashed(f, f.maximum(s.steepest, 0.0)),
        0.0,
    ),
    Signal(
        "steepest_multiple",
        "log_multiple minus its value at that fall, / 3",
        "nats / 3",
        lambda s, f, now: (s.log_multiple - s.multiple_at_steepest) / 3,
    ),
    Signal(
        "peak",
        "highest log_multiple so far minus log_multiple, / 3",
        "nats / 3",
        lambda s, f, now: -((s.log_multiple - s.highest_multiple) / 3),
        0.0,
    ),
    Signal(
        "log_multiple_change",
        "log_multiple minus its value one interval earlier",
        "nats",
        lambda s, f, now: s.log_multiple_change,
    ),
    Signal(
        "interval",
        "log of the steps in the last interval, / 3; more than 12 count as 12",
        "nats / 3",
        lambda s, f, now: log_steps(f, s.steps),
        0.0,
    ),
    Signal(
        "pace",
        "log of the steps between two decisions of this run on average, / 3, likewise",
        "nats / 3",
        lambda s, f, now: log_steps(f, now.pace),
        0.0,
    ),
    Signal(
        "long_interval",
        "log of the steps in the last interval, however many, / 3",
        "nats / 3",
        lambda s, f, now: f.log(f.maximum(s.steps, 1.0)) / 3,
        0.0,
    ),
    Signal(
        "steps",
        "log of the steps made, / 3",
        "nats / 3",
        lambda s, f, now: f.log(f.maximum(now.progress * now.horizon, 1.0)) / 3,
        0.0,
    ),
    Signal(
        "horizon",
        "log of the steps of the run over 1,000, / 3",
        "nats / 3",
        lambda s, f, now: f.log(now.horizon / 1000) / 3,
    ),
    Signal("swing", "average size of change, squashed", "squashed nats", lambda s, f, now: squashed(f, s.swing), 0.0),
    Signal(
        "drift",
        "fast average minus the slowest one, over that size, asinh",
        "asinh of ratio",
        lambda s, f, now: f.arcsinh((s.fast - s.slowest) / f.maximum(s.swing, SMALLEST_ERROR)),
    ),
    Signal(
        "reference_change",
        "log of the reference LR over its first value, / 3",
        "nats / 3",
        lambda s, f, now: (s.reference - s.reference_origin) / 3,
    ),
    of_gradients(
        "gradient",
        "log of reference LR · ‖gradient‖² / loss, what a step promises, / 3",
        "nats / 3",
        lambda s: s.promise / 3,
    ),
    of_gradients(
        "gradient_change",
        "log of ‖gradient‖ over its first value, / 3",
        "nats / 3",
        lambda s: (s.gradient - s.gradient_origin) / 6,
    ),
    of_gradients(
        "efficiency",
        "log loss really lost in the last interval over what was promised",
        "ratio",
        lambda s: s.efficiency,
    ),
    of_gradients("mean_efficiency", "slow average of efficiency", "ratio", lambda s: s.mean_efficiency),
    of_gradients(
        "turn",
        "2 × cosine between the weights' last two displacements, from decision to decision",
        "2 × cosine",
        lambda s: 2 * s.turn,
    ),
    of_gradients(
        "persistence",
        "2 × cosine between the last displacement and the sum of recent ones",
        "2 × cosine",
        lambda s: 2 * s.persistence,
    ),
    of_gradients("long_persistence", "the same with a longer memory", "2 × cosine", lambda s: 2 * s.long_persistence),
    of_gradients(
        "mean_persistence", "average of long_persistence, doubled", "4 × cosine", lambda s: 4 * s.mean_persistence
    ),
    of_gradients(
        "descent",
        "2 × cosine between the last displacement and minus the newest gradient",
        "2 × cosine",
        lambda s: 2 * s.descent,
    ),
    of_gradients("mean_descent", "average of descent, doubled", "4 × cosine", lambda s: 4 * s.mean_descent),
    of_gradients(
        "stride",
        "log of ‖gradient‖ · ‖displacement in a step‖ / loss, what it might change, / 3",
        "nats / 3",
        lambda s: s.stride / 3,
    ),
    of_gradients(
        "relative_stride",
        "log of ‖displacement in a step‖ / ‖weights‖, plus 7, / 3",
        "nats / 3",
        lambda s: (s.relative_stride + 7) / 3,
    ),
    Signal(
        "has_gradient",
        "1 where gradients can be read; else it and the twelve above are 0",
        "flag",
        lambda s, f, now: s.has_gradient,
        0.0,
        1.0,
        of_gradients=True,
    ),
)
FORMULAS = tuple(signal.value for signal in SIGNALS)
FORMULAS_OF_LOSSES = tuple((lambda *_: 0.0) if signal.of_gradients else signal.value for signal in SIGNALS)
SIGNAL_NAMES = tuple(signal.name for signal in SIGNALS)
GRADIENT_SIGNALS = frozenset(signal.name for signal in SIGNALS if signal.of_gradients)


def known_signals(names: Sequence[Any]) -> bool:
    """Whether these are names of signals, all different, at least one."""
    return 0 < len(names) == len({*map(str, names)} & {*SIGNAL_NAMES})


class Signals(Summary):
    """The running summary of losses, and the observation that it makes."""

    def vector(self, progress: Numbers, pace: Numbers = 1.0, horizon: Numbers = 1000.0) -> Floats:
        """Return the observation, in the order of `SIGNALS`.

        Args:
            progress: Share of the horizon used up, 0..1; shape (B,) for B runs.
            pace: Steps between two decisions, on average; likewise.
            horizon: Steps of the run; likewise.

        Returns:
            Shape (S,) for one run, (S, B) for B, S = len(SIGNALS); clipped to [-4, 4]; never non-finite.
        """
        f, now = elementary(self.level), Now(progress, pace, horizon + 0.0 * progress)
        formulas = FORMULAS_OF_LOSSES if f is FLOATS and not self.has_gradient else FORMULAS
        values = np.array([formula(self, f, now) for formula in formulas], dtype=np.float64)
        return np.maximum(np.minimum(values, RANGE), -RANGE)
