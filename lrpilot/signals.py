"""What a schedule may observe: a stream of losses becomes a dimensionless observation vector.

This is the only definition. The training environment calls it with arrays of B losses, the run-time
scheduler with one float; both run the same formulas, so there is no skew between training and use.

Nothing here has a unit: multiply the loss, the data or the LR by any constant and the observation stays the
same (rounding apart). "Squashed" is asinh(100 x) / 2: linear below 1 %, logarithmic above, so that a difference of
log losses of 1 % and of a factor of 100 can both be told from 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.elementary import elementary
from lrpilot.travel import UNKNOWN, Motion

Floats = NDArray[np.float64]
Numbers = float | Floats  # one run, or B runs side by side

TINY = float(np.finfo(np.float64).tiny)
LOWEST_LEVEL = -27.0  # natural log: 2e-12 of the first loss counts as solved
FAST, SLOW, SLOWEST = 0.4, 0.15, 0.05  # weight of the newest interval in the three averages of the level
TIE = 1e-9  # nats; a level that is lower by less is not a better one, but rounding
SMALLEST_ERROR = 1e-4  # nats; differences of the level below it count as none
MEDIUM = 0.2  # the same in the averages of persistence and descent
SHORTEST_STRIDE = -12.0  # natural log; a step that might change the loss by less is as good as none
LONGEST_TOLD = 12.0  # steps of an interval; longer ones look the same, or no long run would look familiar
RANGE = 4.0  # observations are clipped to [-4, 4]


@dataclass(frozen=True)
class Signal:
    """One entry of the observation vector; all are dimensionless."""

    name: str
    meaning: str
    unit: str
    low: float = -RANGE
    high: float = RANGE


SIGNALS = (
    Signal("progress", "share of the horizon used up", "share", 0.0, 1.0),
    Signal("log_multiple", "log of LR over reference (bound or base LR) in the last interval, / 3", "nats / 3"),
    Signal("level", "mean log loss of the last interval, minus the log of the first loss, / 5", "nats / 5"),
    Signal("change", "level minus the level one interval earlier, squashed", "squashed nats"),
    Signal("fast", "level minus its fast average, squashed", "squashed nats"),
    Signal("slow", "level minus its slow average, squashed", "squashed nats"),
    Signal("slowest", "level minus its slowest average, squashed", "squashed nats"),
    Signal("best", "level minus the best level so far, squashed", "squashed nats", 0.0),
    Signal("trend", "fitted change of the log loss across the last interval, squashed", "squashed nats"),
    Signal("spread", "scatter of the log loss around that fit (standard deviation), squashed", "squashed nats", 0.0),
    Signal("change_score", "change over its standard error (from the spread), asinh", "asinh of ratio"),
    Signal("slow_score", "level minus its slow average over its standard error, asinh", "asinh of ratio"),
    Signal("since_best", "asinh of the intervals since the best level, / 1.5", "asinh of intervals", 0.0),
    Signal("best_multiple", "log_multiple minus its value at the best level, / 3", "nats / 3"),
    Signal("steepest", "largest fall of the fast average in one interval so far, squashed", "squashed nats", 0.0),
    Signal("steepest_multiple", "log_multiple minus its value at that fall, / 3", "nats / 3"),
    Signal("peak", "highest log_multiple so far minus log_multiple, / 3", "nats / 3", 0.0),
    Signal("log_multiple_change", "log_multiple minus its value one interval earlier", "nats"),
    Signal("interval", "log of the steps in the last interval, / 3; more than 12 count as 12", "nats / 3", 0.0),
    Signal("pace", "log of the steps between two decisions of this run on average, / 3, likewise", "nats / 3", 0.0),
    Signal("swing", "average size of change, squashed", "squashed nats", 0.0),
    Signal("drift", "fast average minus the slowest one, over that size, asinh", "asinh of ratio"),
    Signal("reference_change", "log of the reference LR over its first value, / 3", "nats / 3"),
    Signal("gradient", "log of reference LR · ‖gradient‖² / loss, what a step promises, / 3", "nats / 3"),
    Signal("gradient_change", "log of ‖gradient‖ over its first value, / 3", "nats / 3"),
    Signal("efficiency", "log loss really lost in the last interval over what was promised", "ratio"),
    Signal("mean_efficiency", "slow average of efficiency", "ratio"),
    Signal("turn", "2 × cosine between the weights' last two displacements, from decision to decision", "2 × cosine"),
    Signal("persistence", "2 × cosine between the last displacement and the sum of recent ones", "2 × cosine"),
    Signal("long_persistence", "the same with a longer memory", "2 × cosine"),
    Signal("mean_persistence", "average of long_persistence, doubled", "4 × cosine"),
    Signal("descent", "2 × cosine between the last displacement and minus the newest gradient", "2 × cosine"),
    Signal("mean_descent", "average of descent, doubled", "4 × cosine"),
    Signal("stride", "log of ‖gradient‖ · ‖displacement in a step‖ / loss, what it might change, / 3", "nats / 3"),
    Signal("has_gradient", "1 where gradients can be read; else it and the eleven above are 0", "flag", 0.0, 1.0),
)
SIGNAL_NAMES = tuple(signal.name for signal in SIGNALS)
GRADIENT_SIGNALS = frozenset(SIGNAL_NAMES[SIGNAL_NAMES.index("gradient") :])  # they come last


@dataclass
class Signals:
    """Running summary of a stream of losses: `observe` once a step, `close` once a decision, then `vector`.

    Every field is a number for one run, or an array of shape (B,) for B runs side by side. All of them together
    are the state: `state` and `Signals(**state)` are inverses.
    """

    count: int = 0  # steps in the open interval
    opening: Numbers = 0.0  # log loss of its first step
    total: Numbers = 0.0  # Σ x over its steps, x = log loss
    total_sq: Numbers = 0.0  # Σ x²
    weighted: Numbers = 0.0  # Σ k x_k, k = 0, 1, …
    intervals: Numbers = 0.0  # closed intervals
    origin: Numbers = 0.0  # log of the first loss of the run
    level: Numbers = 0.0  # mean of x over the last closed interval, minus origin
    change: Numbers = 0.0
    fast: Numbers = 0.0  # averages of the levels
    slow: Numbers = 0.0
    slowest: Numbers = 0.0
    best: Numbers = 0.0
    since_best: Numbers = 0.0  # intervals
    multiple_at_best: Numbers = 0.0
    steps: Numbers = 0.0  # in the last closed interval
    swing: Numbers = 0.0  # average of |change|
    trend: Numbers = 0.0
    spread: Numbers = 0.0
    log_multiple: Numbers = 0.0
    steepest: Numbers = 0.0  # largest fall of the fast average in one interval
    multiple_at_steepest: Numbers = 0.0
    highest_multiple: Numbers = 0.0
    log_multiple_change: Numbers = 0.0
    reference_origin: Numbers = 0.0  # log of the first reference LR
    reference: Numbers = 0.0  # log of the newest
    gradient_origin: Numbers = 0.0  # log of the first squared gradient norm
    gradient: Numbers = 0.0  # log of the newest
    promise: Numbers = 0.0  # log of reference · ‖gradient‖² / loss
    efficiency: Numbers = 0.0
    mean_efficiency: Numbers = 0.0
    turn: Numbers = 0.0
    persistence: Numbers = 0.0
    long_persistence: Numbers = 0.0
    mean_persistence: Numbers = 0.0
    descent: Numbers = 0.0
    mean_descent: Numbers = 0.0
    stride: Numbers = 0.0  # log of ‖gradient‖ · ‖displacement‖ / (√steps · loss)
    has_gradient: Numbers = 0.0

    def observe(self, loss: Numbers) -> None:
        """Take in the loss of one step.

        Args:
            loss: Mini-batch loss, finite: a float, or shape (B,). Zero and below count as solved.
        """
        f = elementary(loss)
        x = f.log(f.maximum(loss, TINY))
        if self.count == 0:
            self.opening = x
        self.total = self.total + x
        self.total_sq = self.total_sq + x * x
        self.weighted = self.weighted + self.count * x
        self.count += 1

    def observe_all(self, losses: Sequence[float]) -> None:
        """Take in the losses of many steps of one run, at least one: as `observe` for each, rounding apart."""
        x = np.log(np.maximum(losses, TINY))
        if self.count == 0:
            self.opening = float(x[0])
        self.total += float(x.sum())
        self.total_sq += float(x @ x)
        self.weighted += float(x @ np.arange(self.count, self.count + len(x)))
        self.count += len(x)

    def close(
        self, log_multiple: Numbers, reference: Numbers, gradient_sq: Numbers = np.nan, motion: Motion = UNKNOWN
    ) -> None:
        """End the interval: its losses become the newest entries of the observation. Without losses: no change.

        Args:
            log_multiple: Mean log of LR over its reference in this interval.
            reference: The reference LR now (bound or base LR), per step, positive.
            gradient_sq: Squared norm of the gradient that the interval's last step used; NaN where unknown.
            motion: The weights' newest displacement, from `Travel.move`; `UNKNOWN` where weights can't be read.
        """
        if self.count == 0:
            return
        f = elementary(self.total)
        n, started = self.count, self.intervals > 0
        self.origin = f.where(started, self.origin, self.opening)
        mean = self.total / n
        level = f.maximum(mean - self.origin, LOWEST_LEVEL)
        lag = (n - 1) / 2
        slope = (self.weighted - lag * self.total) / (n * (n * n - 1) / 12 or 1.0)
        scatter = self.total_sq / n - mean * mean - slope * slope * (n * n - 1) / 12
        self.change = f.where(started, level - self.level, 0.0)
        self.level = level
        share = f.maximum(SLOW, 1.0 / f.maximum(self.intervals, 1.0))  # at first a plain mean
        self.swing = f.where(started, self.swing + share * (f.maximum(self.change, -self.change) - self.swing), 0.0)
        fall = f.where(started, FAST * (self.fast - level), 0.0)
        self.fast = f.where(started, self.fast - fall, level)
        self.slow = f.where(started, self.slow + SLOW * (level - self.slow), level)
        self.slowest = f.where(started, self.slowest + SLOWEST * (level - self.slowest), level)
        self._close_records(level, fall, log_multiple)
        self.steps = level * 0.0 + n
        self.trend = slope * n
        self.spread = f.sqrt(f.maximum(scatter, 0.0))
        self.log_multiple_change = f.where(started, log_multiple - self.log_multiple, 0.0)
        self.log_multiple = log_multiple
        log_reference = f.log(reference)
        self.reference_origin = f.where(started, self.reference_origin, log_reference)
        self.reference = log_reference
        self.turn, self.persistence, self.long_persistence, length, self.descent = motion
        self._close_gradient(started, mean, n, gradient_sq, length)
        self.mean_persistence = self.mean_persistence + MEDIUM * (self.long_persistence - self.mean_persistence)
        self.mean_descent = self.mean_descent + MEDIUM * (self.descent - self.mean_descent)
        self.intervals = self.intervals + 1
        self.count, self.total, self.total_sq, self.weighted = 0, 0.0, 0.0, 0.0

    def _close_records(self, level: Numbers, fall: Numbers, log_multiple: Numbers) -> None:
        """The best level, the steepest fall and the highest LR so far, and at which LR the first two were."""
        f, first = elementary(level), self.intervals == 0
        improved = (level < self.best - TIE) | first
        self.best = f.where(first, level, f.minimum(level, self.best))
        self.since_best = f.where(improved, 0.0, self.since_best + 1.0)
        self.multiple_at_best = f.where(improved, log_multiple, self.multiple_at_best)
        steeper = (fall > self.steepest) | first
        self.steepest = f.where(steeper, fall, self.steepest)
        self.multiple_at_steepest = f.where(steeper, log_multiple, self.multiple_at_steepest)
        higher = (log_multiple > self.highest_multiple) | first
        self.highest_multiple = f.where(higher, log_multiple, self.highest_multiple)

    def _close_gradient(self, started: Any, mean: Numbers, steps: int, gradient_sq: Numbers, length: Numbers) -> None:
        """A step of LR η promises to lower the loss f by η‖gradient‖², if the gradient were free of noise."""
        f = elementary(mean)
        known = f.isfinite(gradient_sq)
        self.gradient = f.log(f.where(known, f.maximum(gradient_sq, TINY), 1.0))
        self.gradient_origin = f.where(started & (self.has_gradient > 0), self.gradient_origin, self.gradient)
        self.promise = self.reference + self.gradient - mean
        promised = steps * f.exp(f.minimum(self.promise + self.log_multiple, 50.0))
        self.efficiency = f.maximum(f.minimum(-self.change / f.maximum(promised, 1e-12), RANGE), -RANGE)
        self.mean_efficiency = self.mean_efficiency + SLOW * (self.efficiency - self.mean_efficiency)
        measured = f.isfinite(length)
        # A step's part of the displacement, as if steps were independent.
        moved = f.log(f.where(measured, f.maximum(length, TINY), 1.0)) - math.log(steps) / 2
        self.stride = f.where(measured, f.maximum(self.gradient / 2 + moved - mean, SHORTEST_STRIDE), 0.0)
        self.has_gradient = f.where(known, 1.0, 0.0)

    def vector(self, progress: Numbers, pace: Numbers = 1.0) -> Floats:
        """Return the observation, in the order of `SIGNALS`.

        Args:
            progress: Share of the horizon used up, 0..1; shape (B,) for B runs.
            pace: Steps between two decisions, on average; likewise.

        Returns:
            Shape (S,) for one run, (S, B) for B, S = len(SIGNALS); clipped to [-4, 4]; never non-finite.
        """
        f = elementary(self.level)
        averages = (self.level - self.fast, self.level - self.slow, self.level - self.slowest)
        logs = (self.change, *averages, self.level - self.best, self.trend, self.spread)
        squashed = [f.asinh(100.0 * log) / 2 for log in logs]
        error = f.sqrt(self.spread * self.spread / f.maximum(self.steps, 1.0) + SMALLEST_ERROR**2)
        scores = [f.asinh(difference / error) for difference in (self.change, self.level - self.slow)]
        steepest = f.asinh(100.0 * f.maximum(self.steepest, 0.0)) / 2
        multiples = (self.multiple_at_best, self.multiple_at_steepest, self.highest_multiple)
        at_best, at_steepest, peak = ((self.log_multiple - multiple) / 3 for multiple in multiples)
        memory = (f.asinh(self.since_best) / 1.5, at_best, steepest, at_steepest, -peak)
        swing = f.asinh(100.0 * self.swing) / 2
        drift = f.asinh((self.fast - self.slowest) / f.maximum(self.swing, SMALLEST_ERROR))
        grown = (self.gradient - self.gradient_origin) / 6
        interval, paced = (f.log(f.maximum(f.minimum(n, LONGEST_TOLD), 1.0)) / 3 for n in (self.steps, pace))
        moved = (self.reference - self.reference_origin) / 3
        efficiencies = (self.efficiency, self.mean_efficiency)
        persistences = (2 * self.turn, 2 * self.persistence, 2 * self.long_persistence, 4 * self.mean_persistence)
        steps = (2 * self.descent, 4 * self.mean_descent, self.stride / 3)
        read = (self.promise / 3, grown, *efficiencies, *persistences, *steps)
        gradient = [entry * self.has_gradient for entry in read]
        first = (progress, self.log_multiple / 3, self.level / 5)
        recent = (self.log_multiple_change, interval, paced, swing, drift)
        entries = (*first, *squashed, *scores, *memory, *recent, moved, *gradient)
        vector = [f.maximum(f.minimum(entry, RANGE), -RANGE) for entry in (*entries, self.has_gradient)]
        return np.array(vector, dtype=np.float64)

    def restart(self, slots: NDArray[np.bool_]) -> None:
        """Forget the runs in the marked slots.

        Args:
            slots: Shape (B,), true where a new run begins.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "count":
                setattr(self, entry.name, np.where(slots, 0.0, value))

    def state(self) -> dict[str, float]:
        """Return the state of one run as Python numbers.

        Returns:
            A flat dictionary; `Signals(**state)` restores it.
        """
        return {name: int(value) if name == "count" else float(value) for name, value in asdict(self).items()}
