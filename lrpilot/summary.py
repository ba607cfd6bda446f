"""The running summary of a stream of losses, and of what is read of gradients and weights: what signals are made of.

The training environment calls it with arrays of B losses, the run-time scheduler with one float; both run the same
formulas, so there is no skew between training and use. Nothing here has a unit, rounding apart: all entries are logs
of ratios, or cosines.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Numbers, elementary
from lrpilot.displacement import UNKNOWN, DisplacementCosines
from lrpilot.states import StateError

TINY = float(np.finfo(np.float64).tiny)
SMALLEST_LOSS = float(np.finfo(np.float32).tiny)  # what is smaller was cut off to it, or to 0, or is no loss at all
LOWEST_LEVEL = -27.0  # natural log: 2e-12 of the first loss counts as solved
NEWEST_FAST, NEWEST_SLOW, NEWEST_SLOWEST = 0.4, 0.15, 0.05  # weight of the newest interval in averages of the level
NEWEST_MEDIUM = 0.2  # the same in the averages of persistence and descent
TIE = 1e-9  # nats; a level that is lower by less is not a better one, but rounding
SHORTEST_STRIDE = -12.0  # natural log; a step that might change the loss by less is as good as none
SMALLEST_STRIDE = -19.0  # natural log; of the weights' norm
RANGE = 4.0  # of an efficiency, and of all observations


def counts_as_loss(loss: Numbers) -> Any:
    """Whether a number counts as a loss: the one rule, in training and at run time.

    Positive numbers count, down to the smallest normal one of single precision. Others have no log, and are left out:
    zero says no more than that this mini-batch had nothing to correct. One that is not finite also makes the LR back
    off (`lrpilot.control.next_back_off`).

    Args:
        loss: A float, or shape (B,).

    Returns:
        A bool, or shape (B,).

    Example:
        >>> counts_as_loss(0.5), counts_as_loss(0.0), counts_as_loss(float("inf"))
        (True, False, False)
    """
    return (loss >= SMALLEST_LOSS) & (loss < np.inf)


@dataclass
class Summary:
    """`observe` once a step, `close` once a decision.

    Every field is a number for one run, or an array of shape (B,) for B runs side by side. All of them together
    are the state: `state` and `Summary(**state)` are inverses.
    """

    count: Numbers = 0  # losses in the open interval
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
    relative_stride: Numbers = 0.0  # log of ‖displacement‖ / (√steps · ‖weights‖)

    def observe(self, loss: Numbers) -> None:
        """Take in the loss of one step.

        Args:
            loss: Mini-batch loss: a float, or shape (B,). See `counts_as_loss`: others leave no trace.
        """
        f = elementary(loss)
        counts = counts_as_loss(loss)
        x = f.log(f.where(counts, loss, 1.0))
        self.opening = f.where(self.count == 0, x, self.opening)
        self.total = self.total + x
        self.total_sq = self.total_sq + x * x
        self.weighted = self.weighted + self.count * x
        self.count = self.count + counts

    def observe_all(self, losses: Sequence[float]) -> None:
        """Take in the losses of many steps of one run, all of which count: as `observe` for each, rounding apart."""
        if not losses:
            return
        x = np.log(losses)
        if self.count == 0:
            self.opening = float(x[0])
        self.total += float(x.sum())
        self.total_sq += float(x @ x)
        self.weighted += float(x @ (np.arange(len(x)) + self.count))
        self.count += len(x)

    def close(
        self,
        log_multiple: Numbers,
        reference: Numbers,
        gradient_sq: Numbers = np.nan,
        cosines: DisplacementCosines = UNKNOWN,
    ) -> None:
        """End the interval: its losses become the newest entries of the observation. Runs without any: no change.

        Args:
            log_multiple: Mean log of LR over its reference in this interval.
            reference: The reference LR now (bound or base LR), per step, positive.
            gradient_sq: Squared norm of the gradient that the interval's last step used; NaN where unknown.
            cosines: The weights' newest displacement, from `DisplacementTracker.move`; `UNKNOWN` where weights
                can't be read.
        """
        f, heard = elementary(self.total), self.count > 0
        alike = heard is True or bool(np.all(heard))  # one run, or all that there are
        kept = {} if alike else dict(vars(self))
        if alike or np.any(heard):
            self._close_levels(log_multiple)
            self._close_reference(log_multiple, reference, gradient_sq, cosines)
        for name, value in kept.items():
            setattr(self, name, f.where(heard, getattr(self, name), value))
        self.intervals = f.where(heard, self.intervals + 1.0, self.intervals)
        self.count, self.total, self.total_sq, self.weighted = 0, 0.0, 0.0, 0.0

    def _close_levels(self, log_multiple: Numbers) -> None:
        """Levels of the losses, their averages, and trend and spread in the interval."""
        f = elementary(self.total)
        n, started = f.maximum(self.count, 1), self.intervals > 0
        self.origin = f.where(started, self.origin, self.opening)
        mean = self.total / n
        level = f.maximum(mean - self.origin, LOWEST_LEVEL)
        lag = (n - 1) / 2
        slope = (self.weighted - lag * self.total) / f.where(n > 1, n * (n * n - 1) / 12, 1.0)
        scatter = self.total_sq / n - mean * mean - slope * slope * (n * n - 1) / 12
        self.change = f.where(started, level - self.level, 0.0)
        self.level = level
        share = f.maximum(NEWEST_SLOW, 1.0 / f.maximum(self.intervals, 1.0))  # at first a plain mean
        self.swing = f.where(started, self.swing + share * (f.maximum(self.change, -self.change) - self.swing), 0.0)
        fall = f.where(started, NEWEST_FAST * (self.fast - level), 0.0)
        self.fast = f.where(started, self.fast - fall, level)
        self.slow = f.where(started, self.slow + NEWEST_SLOW * (level - self.slow), level)
        self.slowest = f.where(started, self.slowest + NEWEST_SLOWEST * (level - self.slowest), level)
        self._close_records(level, fall, log_multiple)
        self.steps = level * 0.0 + n
        self.trend = slope * n
        self.spread = f.sqrt(f.maximum(scatter, 0.0))

    def _close_reference(
        self, log_multiple: Numbers, reference: Numbers, gradient_sq: Numbers, cosines: DisplacementCosines
    ) -> None:
        """LRs, reference LRs, gradients and displacements."""
        f, started = elementary(self.total), self.intervals > 0
        self.log_multiple_change = f.where(started, log_multiple - self.log_multiple, 0.0)
        self.log_multiple = log_multiple
        log_reference = f.log(reference)
        self.reference_origin = f.where(started, self.reference_origin, log_reference)
        self.reference = log_reference
        self.turn, self.persistence, self.long_persistence, length, self.descent, size = cosines
        self._close_gradient(started, gradient_sq, length, size)
        change = self.long_persistence - self.mean_persistence
        self.mean_persistence = self.mean_persistence + NEWEST_MEDIUM * change
        self.mean_descent = self.mean_descent + NEWEST_MEDIUM * (self.descent - self.mean_descent)

    def _close_records(self, level: Numbers, fall: Numbers, log_multiple: Numbers) -> None:
        """The best level, the steepest fall and the highest LR so far, and at which LR the first two were."""
        f, first = elementary(level), self.intervals == 0
        improved = (level < self.best - TIE) | first
        self.best = f.where(first, level, f.minimum(level, self.best))
        self.since_best = f.where(improved, 0.0, self.since_best + 1.0)
        self.multiple_at_best = f.where(improved, log_multiple, self.multiple_at_best)
        steeper = (fall > self.steepest + TIE) | first
        self.steepest = f.where(steeper, fall, self.steepest)
        self.multiple_at_steepest = f.where(steeper, log_multiple, self.multiple_at_steepest)
        higher = (log_multiple > self.highest_multiple) | first
        self.highest_multiple = f.where(higher, log_multiple, self.highest_multiple)

    def _close_gradient(self, started: Any, gradient_sq: Numbers, length: Numbers, size: Numbers) -> None:
        """A step of LR η promises to lower the loss f by η‖gradient‖², if the gradient were free of noise."""
        f, mean = elementary(self.total), self.total / self.steps
        known = f.isfinite(gradient_sq)
        self.gradient = f.log(f.where(known, f.maximum(gradient_sq, TINY), 1.0))
        self.gradient_origin = f.where(started & (self.has_gradient > 0), self.gradient_origin, self.gradient)
        self.promise = self.reference + self.gradient - mean
        promised = self.steps * f.exp(f.minimum(self.promise + self.log_multiple, 50.0))
        self.efficiency = f.maximum(f.minimum(-self.change / f.maximum(promised, 1e-12), RANGE), -RANGE)
        self.mean_efficiency = self.mean_efficiency + NEWEST_SLOW * (self.efficiency - self.mean_efficiency)
        measured = f.isfinite(length)
        # A step's part of the displacement, as if steps were independent.
        moved = f.log(f.where(measured, f.maximum(length, TINY), 1.0)) - f.log(self.steps) / 2
        self.stride = f.where(measured, f.maximum(self.gradient / 2 + moved - mean, SHORTEST_STRIDE), 0.0)
        sized = measured & f.isfinite(size)
        log_size = f.log(f.where(sized, f.maximum(size, TINY), 1.0))
        self.relative_stride = f.where(sized, f.maximum(moved - log_size, SMALLEST_STRIDE), 0.0)
        self.has_gradient = f.where(known, 1.0, 0.0)

    def put_on_scale(self, raised: float, factor: float) -> None:
        """Be as if all losses so far had been raised by a constant, then multiplied, and their gradients with them.

        Args:
            raised: At least 0.
            factor: Positive.
        """
        if raised and self.intervals:
            self._raise_losses(raised)
        log = math.log(factor)
        self.origin += log
        self.promise += log
        self.gradient += 2 * log
        self.gradient_origin += 2 * log

    def _raise_losses(self, amount: float) -> None:
        """Move every level towards that of the first.

        Means of logs are taken for logs of means; the newest differences of levels shrink as a small one does at the
        newest level, those of the whole run as the distance from the first.
        """
        first = math.exp(self.origin)
        origin = math.log(first + amount)

        def moved(level: Numbers) -> float:
            return math.log(math.exp(min(self.origin + level, 700.0)) + amount) - origin

        newest = moved(self.level)
        self.promise -= origin + newest - self.origin - self.level
        now = math.exp(min(self.origin + self.level, 700.0))
        here, on_average = now / (now + amount), newest / self.level if self.level else first / (first + amount)
        for name, shrunk in {
            "change": here,
            "trend": here,
            "spread": here,
            "swing": on_average,
            "steepest": on_average,
        }.items():
            setattr(self, name, getattr(self, name) * shrunk)
        for name in ("level", "fast", "slow", "slowest", "best"):
            setattr(self, name, moved(getattr(self, name)))
        self.origin = origin

    def restart(self, slots: NDArray[np.bool_]) -> None:
        """Forget the runs in the marked slots.

        Args:
            slots: Shape (B,), true where a new run begins.
        """
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name != "count":
                setattr(self, entry.name, np.where(slots, 0.0, value))

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> Self:
        """Return a summary as it was when `state` was called; what an earlier version's lacks begins anew.

        Raises:
            StateError: There is an entry that only a later version knows.
        """
        unknown = sorted(state.keys() - {entry.name for entry in fields(cls)})
        if unknown:
            names = ", ".join(f"signals.{name}" for name in unknown)
            raise StateError(f"this state is of a later version of lrpilot, which alone knows {names}")
        return cls(**state)

    def state(self) -> dict[str, float]:
        """Return the state of one run as Python numbers.

        Returns:
            A flat dictionary.
        """
        return {name: int(value) if name == "count" else float(value) for name, value in asdict(self).items()}
