"""The framework-free schedule of one run: signals, policy and clipping make the next LR."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from copy import copy
from typing import Any, SupportsFloat

from lrpilot.anchor import Anchor, anchor_multiple
from lrpilot.clipping import Guard, Limits, back_off
from lrpilot.reflex import alarm
from lrpilot.signals import Floats, Signals
from lrpilot.timing import decision_times
from lrpilot.travel import UNKNOWN, Motion, Travel, Weights

Bound = Callable[[], SupportsFloat]  # returns the current largest stable LR, per step
LogMultiple = Callable[[Floats, float], float]  # observation (S,), log of LR over reference and anchor -> the next
Agree = Callable[[float, Motion], tuple[float, Motion]]  # what one rank reads at a decision -> what all go by


class Schedule:
    """The next LR after each loss: `lr = schedule(loss)`.

    Decisions are made after the calls that `lrpilot.timing` lists. Between two, the ratio of the LR to its reference
    (the bound, or the base LR) is that of the anchor, times a constant; the bound is read at every call.

    Made by `SchedulePolicy.schedule`, which documents the arguments.

    Attributes:
        lr: The LR of the next step.
        reference: What it is a multiple of: the bound for policies of that kind, else the base LR.
        calls: Steps made.
        decides_at: Number of the step after which the next decision is made, as soon as there is a loss; infinite if
            all are made.
        highest: Highest finite loss so far, 0 before the first; infinite for policies without a reflex.
        agree: Called at each decision with what was read of gradients and weights; returns what counts.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """

    def __init__(
        self,
        log_multiple: LogMultiple,
        base_lr: float,
        horizon: int,
        *,
        decisions: int,
        power: float,
        relative_to_bound: bool,
        anchor: Anchor,
        log_low: float,
        log_start: float,
        reflex: float | None,
        bound: Bound | None,
        lr_min: float | None,
        lr_max: float | None,
        guard: Guard,
    ) -> None:
        _check(base_lr, horizon)
        self.horizon = int(horizon)
        self.limits = Limits(guard, lr_min, lr_max)
        self.signals, self.travel = Signals(), Travel()
        self.agree: Agree = lambda gradient_sq, motion: (gradient_sq, motion)
        self._policy = log_multiple
        self._log_low, self._reflex = log_low, reflex
        self._base_lr = self.reference = float(base_lr)
        self._times, self._pace = decision_times(self.horizon, decisions, power), self.horizon / decisions
        self._anchor: Anchor = anchor
        self._relative_to_bound, self._read_bound = relative_to_bound, bound
        self._bound: float | None = None
        self.calls = 0
        self.decides_at = self._next_decision()
        self._log_sum, self._log_count = 0.0, 0  # Σ log(LR / reference) over the steps of the open interval
        self._parts: list[float] = []  # losses of the step that is not yet moved on from
        self._losses: list[float] = []  # of the steps of the open interval
        self.highest = math.inf if reflex is None else 0.0
        self._back_off, self._skipped = 1.0, 0  # losses until the last decision that were not finite
        self._refresh_bound()
        self._log_multiple = self._policy(self.signals.vector(0.0, self._pace), log_start)
        self._multiple = math.exp(self._log_multiple)
        self.lr = self._allowed()

    def __call__(
        self,
        loss: float,
        gradient_sq: float = math.nan,
        weights: Weights | None = None,
        gradient: Weights | None = None,
    ) -> float:
        """Take in the loss of the step just made and return the LR for the next.

        Args:
            loss: Mini-batch loss. A non-finite one is skipped, counted in `skipped`, and makes the LR back off.
            gradient_sq: Squared norm of the gradient of that step, if it is at hand; read only at decisions.
            weights: The weights after that step, or a fixed sample of them, shape (P,), likewise.
            gradient: The gradient of that step, the same sample of it, likewise.

        Returns:
            The LR, per step; also in `lr`.
        """
        self.observe(loss)
        return self.advance(gradient_sq, weights, gradient)

    def observe(self, loss: float) -> None:
        """Take in a loss without moving on; several before one `advance`, of the parts of a batch, are averaged."""
        self._parts.append(float(loss))

    def take_in(self, losses: Sequence[float]) -> None:
        """Take in the losses of whole steps, one each."""
        for loss in losses:
            self.notice(loss)
            self._losses.append(loss)

    def notice(self, loss: float) -> None:
        """Lower the LR at once if a loss is far above all before it: see `lrpilot.reflex`. The same twice is once."""
        if self._reflex is None or loss <= self.highest:
            return
        if alarm(loss, self.highest):
            self._log_multiple = max(self._log_multiple - self._reflex, self._log_low)
            self._multiple = math.exp(self._log_multiple) * self._back_off
        if math.isfinite(loss):
            self.highest = loss

    def advance(
        self, gradient_sq: float = math.nan, weights: Weights | None = None, gradient: Weights | None = None
    ) -> float:
        """Move on by one step; without a new observation no new decision is made.

        Args:
            gradient_sq: As in a call.
            weights: As in a call.
            gradient: As in a call.

        Returns:
            The LR, per step; also in `lr`.
        """
        if self._parts:
            self.take_in([sum(self._parts) / len(self._parts)])
            self._parts = []
        self.calls += 1
        due = self.calls >= self.decides_at
        if self._read_bound is not None and (due or self.limits.guard != "off"):
            self._refresh_bound()
        if self.calls >= self.horizon:  # the run is over: hold, but stay inside the bound
            self.lr = float(self.limits.clip(self.lr, self._bound))
            return self.lr
        if due and self._losses:
            self._decide(gradient_sq, weights, gradient)
        self.lr = self._allowed()
        return self.lr

    @property
    def skipped(self) -> int:
        """Losses of the whole run that were not finite."""
        return self._skipped + sum(not math.isfinite(loss) for loss in self._losses)

    def _decide(self, gradient_sq: float, weights: Weights | None, gradient: Weights | None) -> None:
        self.decides_at = self._next_decision()
        finite = [loss for loss in self._losses if math.isfinite(loss)]
        non_finite = len(self._losses) - len(finite)
        self._losses = []
        self._skipped += non_finite
        self._back_off = back_off(self._back_off, non_finite > 0)
        if finite:
            self.signals.observe_all(finite)
            motion = UNKNOWN if weights is None else self.travel.move(weights, gradient)
            gradient_sq, motion = self.agree(gradient_sq, motion)
            self.signals.close(self._log_sum / self._log_count, self.reference, gradient_sq, motion)
            observation = self.signals.vector(self.calls / self.horizon, self._pace)
            self._log_multiple = self._policy(observation, self._log_multiple)
        self._multiple = math.exp(self._log_multiple) * self._back_off
        self._log_sum, self._log_count = 0.0, 0

    def _next_decision(self) -> float:
        """The call of `advance` that makes the next decision, infinite if none will."""
        index = bisect_right(self._times, self.calls)
        return self._times[index] if index < len(self._times) else math.inf

    def _allowed(self) -> float:
        """The clipped LR; remembers what was really applied, for the observation."""
        reference = self.reference
        anchored = self._multiple * anchor_multiple(self._anchor, self.calls / self.horizon)
        lr = float(self.limits.clip(anchored * reference, self._bound))
        self._log_sum += math.log((lr or 1e-300) / reference)
        self._log_count += 1
        return lr

    def _refresh_bound(self) -> None:
        """Read the bound. One that is no positive number (a diverged model's, say) leaves the last good one."""
        if self._read_bound is None:
            return
        bound = float(self._read_bound())
        if math.isfinite(bound) and bound > 0:
            self._bound = bound
            self.reference = bound if self._relative_to_bound else self._base_lr
        elif self._bound is None:
            raise ValueError(f"bound() returned {bound} before the first step, must be a positive number")

    def state(self) -> dict[str, Any]:
        """Return all that changes over a run, as Python numbers and a list of them in a flat dictionary."""
        own = {key: copy(getattr(self, key)) for key in _STATE}
        return own | {f"signals.{key}": value for key, value in self.signals.state().items()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the next LR is bit for bit what it would have been.

        Args:
            state: A dictionary from `state`, of a schedule with the same arguments.

        Raises:
            ValueError: An entry is missing.
        """
        signals = {key.removeprefix("signals."): v for key, v in state.items() if key.startswith("signals.")}
        missing = [key for key in _STATE if key not in state] + sorted(set(Signals().state()) - set(signals))
        if missing:
            raise ValueError(f"this is no state of a schedule: {', '.join(missing)} missing")
        for key in _STATE:
            setattr(self, key, copy(state[key]))
        self.signals = Signals(**{key: signals[key] for key in Signals().state()})


def _check(base_lr: float, horizon: int) -> None:
    if not (math.isfinite(base_lr) and base_lr > 0):
        raise ValueError(f"base_lr must be a positive number, not {base_lr}")
    if isinstance(horizon, bool) or not math.isfinite(horizon) or int(horizon) != horizon or horizon < 1:
        raise ValueError(f"horizon must be a whole number of steps, at least 1, not {horizon}")


_STATE = (
    "lr",
    "reference",
    "_bound",
    "calls",
    "decides_at",
    "_log_sum",
    "_log_count",
    "_parts",
    "_losses",
    "highest",
    "_skipped",
    "_back_off",
    "_log_multiple",
    "_multiple",
)
