"""The framework-free schedule of one run: losses come in by one door, an LR goes out."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from copy import copy, deepcopy
from typing import Any, Self, SupportsFloat

from lrpilot.arrays import Floats, Weights, loss_number, number, positive, shown, whole
from lrpilot.control import Control, Limits
from lrpilot.displacement import UNKNOWN, DisplacementCosines, DisplacementTracker, alone
from lrpilot.loss_stream import LossStream, Reading
from lrpilot.multiple import ADDED, Multiple
from lrpilot.notices import PAST_THE_HORIZON, Notices
from lrpilot.signals import Signals
from lrpilot.states import StateError
from lrpilot.summary import TINY

Bound = Callable[[], SupportsFloat]  # returns the current largest stable LR, per step
Act = Callable[[Floats], SupportsFloat]  # observation (S,) -> action in [-1, 1]


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
        multiple: Of the reference, before anchor and limits.
        agree: Called at each decision with what was read of gradients and weights; returns what counts.

    Raises:
        ValueError: An argument is out of range; the message names it.
    """

    def __init__(
        self, act: Act, control: Control, base_lr: float, horizon: int, bound: Bound | None, limits: Limits
    ) -> None:
        self.base_lr = positive("base_lr", base_lr)
        self.horizon, self.limits, self.control = whole("horizon", horizon, 1, "steps"), limits, control
        self.signals, self.stream, self.tracker = Signals(), LossStream(), DisplacementTracker()
        self.notices = Notices()
        self._before_jump: tuple[Signals, Any] | None = None  # what there was, and was decided, before losses jumped
        self.agree: Callable[[float, DisplacementCosines], tuple[float, DisplacementCosines]] = alone
        if not (bound is None or callable(bound)):
            raise TypeError(f"bound must be None, or a callable that returns the largest stable LR, not {shown(bound)}")
        self._act, self._read_bound = act, bound
        self._bound: float | None = None
        self.reference = self.base_lr
        self._times, self._pace = control.times(self.horizon), self.horizon / control.decisions
        self.calls, self._skipped = 0, 0  # steps made, and losses until the last decision that were not finite
        self.decides_at = self._next_decision()
        self._log_sum, self._log_count = 0.0, 0  # Σ log(LR / reference) over the steps of the open interval
        self._parts: list[float] = []  # losses of the step that is not yet moved on from
        self._losses: list[float] = []  # of the steps of the open interval
        self.multiple = Multiple(control, control.log_start, 0.0 if control.spike_guard else math.inf)
        self._refresh_bound()
        self._decide()
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
            loss: Mini-batch loss. A non-finite one is skipped, counted in `skipped`, and makes the LR back off; see
                `LossStream` for those of zero and below.
            gradient_sq: Squared norm of the gradient of that step, if it is at hand; read only at decisions.
            weights: The weights after that step, or a fixed sample of them, shape (P,), likewise.
            gradient: The gradient of that step, the same sample of it, likewise.

        Returns:
            The LR, per step; also in `lr`.
        """
        self.observe(loss)
        return self.advance(gradient_sq, weights, gradient)

    def __copy__(self) -> Self:
        return deepcopy(self)  # nothing is shared

    def observe(self, loss: float) -> None:
        """Take in a loss without moving on; several before one `advance`, of the parts of a batch, are averaged."""
        self._parts.append(loss if type(loss) is float else loss_number(loss))

    def enter(self, losses: Iterable[float]) -> None:
        """Take in the losses of whole steps, one each: the one door by which losses enter the schedule.

        Args:
            losses: In order. A spike lowers the LR at once, see `Control.after_loss`.
        """
        offset = self.stream.offset
        for loss in losses:
            self._losses.append(loss)
            if not loss + offset <= self.multiple.highest_loss:  # else it can't be a spike
                self.multiple.enter(loss + offset)
                self._held = self.multiple.held

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
            self.lr = self.clip(self.lr)
            self._skipped, self._losses = self.skipped, []
            if self.calls > self.horizon:
                self.notices.once("horizon", PAST_THE_HORIZON.format(self.calls, self.horizon))
            return self.lr
        if due and self.heard:
            self._decide(self._close_interval(gradient_sq, weights, gradient))
            self._log_sum, self._log_count = 0.0, 0
        self.lr = self._allowed()
        return self.lr

    def _decide(self, heard: bool = True) -> None:
        """Ask the policy, if there is anything new."""
        if heard:
            seen = self.signals.vector(self.calls / self.horizon, self._pace, self.horizon)
            self.multiple.decide(float(self._act(seen)))
        self._decided = self.multiple.log  # what it is before any spike
        self._held = self.multiple.held  # until the next decision

    @property
    def heard(self) -> bool:
        """Whether any loss came in since the last decision, so that the next may be made."""
        return bool(self._losses)

    @property
    def skipped(self) -> int:
        """Losses of the whole run that were not finite."""
        return self._skipped + sum(not math.isfinite(loss) for loss in self._losses)

    def clip(self, lr: float) -> float:
        """Return what the limits and the newest bound leave of an LR, per step."""
        return float(self.limits.clip(lr, self._bound))

    def rescale_loss(self, factor: float) -> None:
        """Say that from the next loss on all losses are so many times as large; otherwise it is found, a little later.

        Args:
            factor: Positive: 1/64 if a sum over 64 examples becomes their mean.

        Raises:
            ValueError: It is no positive number.
        """
        factor = positive("factor", factor)
        self.stream.rescale(factor)
        self.signals.put_on_scale(0.0, factor)
        self.multiple.highest_loss *= factor
        self._losses, self._parts = ([loss * factor for loss in some] for some in (self._losses, self._parts))

    def _close_interval(self, gradient_sq: float, weights: Weights | None, gradient: Weights | None) -> bool:
        """End the interval; return whether there is anything new to observe."""
        self.decides_at = self._next_decision()
        reading, before = self.stream.read(self._losses), self._before_jump
        self._losses = []
        if before is None and (self.stream.held or reading.factor != 1.0):
            before = copy(self.signals), self._decided
        self._before_jump = before if self.stream.held else None
        if before is not None and reading.factor != 1.0:  # what was made of the losses since the jump is void
            self.signals, self.multiple.log = copy(before[0]), before[1]
        self._skipped += reading.skipped
        self._take_over(reading)
        if reading.losses:
            self.signals.observe_all(reading.losses)
            cosines = UNKNOWN if weights is None else self.tracker.move(weights, gradient)
            self.signals.close(self._log_sum / self._log_count, self.reference, *self.agree(gradient_sq, cosines))
        self.multiple.close(reading.skipped > 0, bool(reading.losses), self.signals.level)
        return bool(reading.losses)

    def _take_over(self, reading: Reading) -> None:
        """Put what is known on the scale of the newest losses, and say what was unusual about them."""
        if reading.raised or reading.factor != 1.0:
            self.signals.put_on_scale(reading.raised, reading.factor)
            if self.control.spike_guard:
                self.multiple.highest_loss = self.stream.highest_loss + self.stream.offset
        for kind, message in reading.warnings.items():
            self.notices.once(kind, message)

    def _next_decision(self) -> float:
        """The call of `advance` that makes the next decision, infinite if none will."""
        index = bisect_right(self._times, self.calls)
        return self._times[index] if index < len(self._times) else math.inf

    def _allowed(self) -> float:
        """The clipped LR; remembers what was really applied, for the observation."""
        wanted = self.control.multiple(self._held, self.calls / self.horizon) * self.reference
        lr = float(self.limits.clip(wanted, self._bound))
        self._log_sum += math.log((lr or TINY) / self.reference)
        self._log_count += 1
        return lr

    def _refresh_bound(self) -> None:
        """Read the bound. One that is no positive number (a diverged model's, say) leaves the last good one."""
        if self._read_bound is None:
            return
        bound = self._read_bound()
        if type(bound) is not float:
            bound = float(number("bound()", bound))
        if 0.0 < bound < math.inf:
            self._bound = bound
            self.reference = bound if self.control.action == "fraction_of_bound" else self.base_lr
        elif self._bound is None:
            raise ValueError(f"bound() returned {bound} before the first step, must be a positive number")

    def state(self) -> dict[str, Any]:
        """Return all that changes over a run, and what it was made with, as plain data in a flat dictionary."""
        own = {key: copy(getattr(self, key)) for key in _STATE} | self.multiple.state()
        before = self._before_jump and [self._before_jump[0].state(), self._before_jump[1]]
        made = {"horizon": self.horizon, "base_lr": self.base_lr, "limits": [*vars(self.limits).values()]}
        flat = {f"signals.{key}": value for key, value in self.signals.state().items()}
        flat |= {f"stream.{key}": value for key, value in self.stream.state().items()}
        return own | made | {"_decided": self._decided, "warned": self.notices.state(), "before_jump": before} | flat

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; the next LR is bit for bit what it would have been.

        Base LR and limits are those of the state. The horizon is the schedule's own: where it is another one, the LR
        goes on from where it was, and decisions are made for the new length.

        Args:
            state: A dictionary from `state`, of this version or an earlier one. What an earlier version did not have
                begins as at the start of a run.

        Raises:
            ValueError: An entry is missing, or is of a later version; or one of the two runs has a bound.
        """
        missing = [key for key in (*_STATE, *self.multiple.state()) if key not in state and key not in ADDED]
        if missing:
            raise StateError(f"this is no state of a schedule: {', '.join(missing)} missing")
        signals = Signals.of({key[8:]: value for key, value in state.items() if key.startswith("signals.")})
        if (state["_bound"] is None) != (self._read_bound is None):
            must = "None, as it was" if state["_bound"] is None else "given, as it was"
            raise StateError(f"bound must be {must} in the run that the state is of")
        for key in _STATE:
            setattr(self, key, copy(state[key]))
        self.multiple.load(state)
        self._decided, self._held = state.get("_decided", self.multiple.log), self.multiple.held
        self.base_lr = state.get("base_lr", self.base_lr)
        self.limits = Limits(*state["limits"]) if "limits" in state else self.limits
        self.signals = signals
        self.stream = LossStream.of({key[7:]: copy(state[key]) for key in state if key.startswith("stream.")})
        before = state.get("before_jump")
        self._before_jump = before and (Signals(**before[0]), before[1])
        self.notices.given = {*state.get("warned", ())}
        if state.get("horizon", self.horizon) != self.horizon:
            self.go_on(self.calls, self.lr)

    def go_on(self, calls: int, lr: float) -> None:
        """Go on from an LR with what the losses told so far, or as at the first loss if they told nothing yet.

        Args:
            calls: Steps made.
            lr: The LR of the next step.
        """
        self.calls, self.lr = calls, self.clip(lr)
        self.decides_at = self._next_decision()
        anchored = self.control.multiple(self.multiple.back_off, min(calls, self.horizon - 1) / self.horizon)
        self._decided = self.multiple.log = math.log((lr or TINY) / (anchored * self.reference))
        self._held = self.multiple.held
        self._log_sum, self._log_count = math.log((self.lr or TINY) / self.reference), 1


_STATE = ("lr", "reference", "calls", "decides_at", "_bound", "_parts", "_losses", "_skipped", "_log_sum", "_log_count")
