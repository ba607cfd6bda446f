"""The framework-free schedule of one run: losses come in by one door, an LR goes out."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from copy import copy
from typing import Any, SupportsFloat

from lrpilot.arrays import Floats, Weights
from lrpilot.control import Control, Limits, next_back_off
from lrpilot.displacement import UNKNOWN, DisplacementCosines, DisplacementTracker
from lrpilot.signals import Signals
from lrpilot.summary import counts_as_loss

Bound = Callable[[], SupportsFloat]  # returns the current largest stable LR, per step
Act = Callable[[Floats], SupportsFloat]  # observation (S,) -> action in [-1, 1]
Read = tuple[float, DisplacementCosines]  # squared norm of the gradient, and how the weights moved


def alone(gradient_sq: float, cosines: DisplacementCosines) -> Read:
    """Return what was read as it is: there are no other ranks to agree with."""
    return gradient_sq, cosines


class Schedule:
    """The next LR after each loss: `lr = schedule(loss)`.

    Decisions are made after the calls that `Control.times` lists. Between two, the ratio of the LR to its reference
    (the bound, or the base LR) is that of the anchor, times a constant; the bound is read at every call.

    Made by `SchedulePolicy.schedule`, which documents the arguments.

    Args:
        act: The policy's network.
        control: When it decides, and what its actions mean.
        base_lr: Per step.
        horizon: Steps of the run.
        bound: Returns the current largest stable LR, per step.
        limits: What the LR must stay within.

    Attributes:
        lr: The LR of the next step.
        reference: What it is a multiple of: the bound for policies of that kind, else the base LR.
        calls: Steps made.
        decides_at: Number of the step after which the next decision is made, as soon as there is a loss; infinite if
            all are made.
        highest_loss: Highest finite loss so far, 0 before the first; infinite for policies without a spike guard.
        agree: Called at each decision with what was read of gradients and weights; returns what counts.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """

    def __init__(
        self, act: Act, control: Control, base_lr: float, horizon: int, bound: Bound | None, limits: Limits
    ) -> None:
        _check(base_lr, horizon)
        self.horizon, self.limits, self.control = int(horizon), limits, control
        self.signals, self.tracker = Signals(), DisplacementTracker()
        self.agree: Callable[[float, DisplacementCosines], Read] = alone
        self._act, self._read_bound = act, bound
        self._bound: float | None = None
        self._base_lr = self.reference = float(base_lr)
        self._times, self._pace = control.times(self.horizon), self.horizon / control.decisions
        self.calls = 0
        self.decides_at = self._next_decision()
        self._log_sum, self._log_count = 0.0, 0  # Σ log(LR / reference) over the steps of the open interval
        self._parts: list[float] = []  # losses of the step that is not yet moved on from
        self._losses: list[float] = []  # of the steps of the open interval
        self.highest_loss = 0.0 if control.spike_guard else math.inf
        self._back_off, self._skipped = 1.0, 0  # losses until the last decision that did not count
        self._refresh_bound()
        action = float(self._act(self.signals.vector(0.0, self._pace)))
        self._log_multiple = float(control.log_multiple(action, control.log_start))
        self._multiple = math.exp(self._log_multiple)  # times the back-off: what holds until the next decision
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

    def enter(self, losses: Iterable[float]) -> None:
        """Take in the losses of whole steps, one each: the one door by which losses enter the schedule.

        Args:
            losses: In order. A spike lowers the LR at once, see `Control.after_loss`.
        """
        for loss in losses:
            self._losses.append(loss)
            if not loss <= self.highest_loss:  # else it can't be a spike
                after = self.control.after_loss(self._log_multiple, loss, self.highest_loss)
                self._log_multiple, self.highest_loss = after
                self._multiple = math.exp(self._log_multiple) * self._back_off

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
            self.enter([sum(self._parts) / len(self._parts)])
            self._parts = []
        self.calls += 1
        due = self.calls >= self.decides_at
        if self._read_bound is not None and (due or self.limits.guard != "off"):
            self._refresh_bound()
        if self.calls >= self.horizon:  # the run is over: hold, but stay inside the bound
            self.lr = float(self.limits.clip(self.lr, self._bound))
            return self.lr
        if due and self.heard:
            if self._close_interval(gradient_sq, weights, gradient):
                action = float(self._act(self.signals.vector(self.calls / self.horizon, self._pace)))
                self._log_multiple = float(self.control.log_multiple(action, self._log_multiple))
            self._multiple = math.exp(self._log_multiple) * self._back_off
            self._log_sum, self._log_count = 0.0, 0
        self.lr = self._allowed()
        return self.lr

    @property
    def heard(self) -> bool:
        """Whether any loss came in since the last decision, so that the next may be made."""
        return bool(self._losses)

    @property
    def skipped(self) -> int:
        """Losses of the whole run that did not count: see `counts_as_loss`."""
        return self._skipped + sum(not counts_as_loss(loss) for loss in self._losses)

    def _close_interval(self, gradient_sq: float, weights: Weights | None, gradient: Weights | None) -> bool:
        """End the interval; return whether there is anything new to observe."""
        self.decides_at = self._next_decision()
        losses, skipped = self._losses, self.skipped
        self._back_off = next_back_off(self._back_off, skipped > self._skipped)
        self._losses, heard = [], skipped - self._skipped < len(losses)
        self._skipped = skipped
        if heard:
            self.signals.observe_all(losses)
            cosines = UNKNOWN if weights is None else self.tracker.move(weights, gradient)
            self.signals.close(self._log_sum / self._log_count, self.reference, *self.agree(gradient_sq, cosines))
        return heard

    def _next_decision(self) -> float:
        """The call of `advance` that makes the next decision, infinite if none will."""
        index = bisect_right(self._times, self.calls)
        return self._times[index] if index < len(self._times) else math.inf

    def _allowed(self) -> float:
        """The clipped LR; remembers what was really applied, for the observation."""
        wanted = self.control.multiple(self._multiple, self.calls / self.horizon) * self.reference
        lr = float(self.limits.clip(wanted, self._bound))
        self._log_sum += math.log((lr or 1e-300) / self.reference)
        self._log_count += 1
        return lr

    def _refresh_bound(self) -> None:
        """Read the bound. One that is no positive number (a diverged model's, say) leaves the last good one."""
        if self._read_bound is None:
            return
        bound = float(self._read_bound())
        if math.isfinite(bound) and bound > 0:
            self._bound = bound
            self.reference = bound if self.control.action == "fraction_of_bound" else self._base_lr
        elif self._bound is None:
            raise ValueError(f"bound() returned {bound} before the first step, must be a positive number")

    def state(self) -> dict[str, Any]:
        """Return all that changes over a run, as Python numbers and a list of them in a flat dictionary."""
        own = {key: copy(getattr(self, attribute)) for key, attribute in _STATE.items()}
        return own | {f"signals.{key}": value for key, value in self.signals.state().items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; the next LR is bit for bit what it would have been.

        Args:
            state: A dictionary from `state`, of a schedule with the same arguments; of this version or an earlier
                one. Signals that an earlier version did not have begin as at the start of a run.

        Raises:
            ValueError: An entry is missing, or is of a later version.
        """
        missing = [key for key in _STATE if key not in state]
        if missing:
            raise ValueError(f"this is no state of a schedule: {', '.join(missing)} missing")
        fresh = Signals().state()
        unknown = sorted({key for key in state if key.startswith("signals.")} - {f"signals.{key}" for key in fresh})
        if unknown:
            raise ValueError(f"this state is of a later version of lrpilot, which alone knows {', '.join(unknown)}")
        for key, attribute in _STATE.items():
            setattr(self, attribute, copy(state[key]))
        self._multiple = math.exp(self._log_multiple) * self._back_off
        self.signals = Signals(**{key: state.get(f"signals.{key}", value) for key, value in fresh.items()})


def _check(base_lr: float, horizon: int) -> None:
    if not (math.isfinite(base_lr) and base_lr > 0):
        raise ValueError(f"base_lr must be a positive number, not {base_lr}")
    if isinstance(horizon, bool) or not math.isfinite(horizon) or int(horizon) != horizon or horizon < 1:
        raise ValueError(f"horizon must be a whole number of steps, at least 1, not {horizon}")


_STATE = {  # name in the state -> attribute
    "lr": "lr",
    "reference": "reference",
    "_bound": "_bound",
    "calls": "calls",
    "decides_at": "decides_at",
    "_log_sum": "_log_sum",
    "_log_count": "_log_count",
    "_parts": "_parts",
    "_losses": "_losses",
    "highest": "highest_loss",
    "_skipped": "_skipped",
    "_back_off": "_back_off",
    "_log_multiple": "_log_multiple",
}
