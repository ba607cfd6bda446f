"""LearnedLR: a trained schedule policy as a torch scheduler."""

import math
import os
from typing import Any

import torch
from torch.optim import LBFGS, Optimizer

from lrpilot.arrays import whole
from lrpilot.control import Guard
from lrpilot.displacement import DisplacementTracker
from lrpilot.notices import NO_BOUND, TOO_SHORT
from lrpilot.policy import SchedulePolicy, load_policy
from lrpilot.schedule import Bound
from lrpilot.schedulers import parameters
from lrpilot.schedulers.base import AbstractMetricLR
from lrpilot.schedulers.gradients import GradientReader, decides_next
from lrpilot.schedulers.groups import LR, BaseLRs
from lrpilot.schedulers.ranks import check_same
from lrpilot.states import StateError


class LearnedLR(AbstractMetricLR):
    """Set the LR by a trained policy that watches the training loss.

        scheduler = LearnedLR(optimizer, "nmf", horizon=1_000, bound=NMFBound(W, H, X))
        for …:
            …
            optimizer.step()
            scheduler.step(loss)

    Policies that read gradients take them from `.grad` at decisions. A loop that clears them before `step` is found
    out at the first decision: from then on they are read right after `optimizer.step`. Where there are none at all,
    policies do with the losses alone.

    The same multiplier goes to every parameter group, so their ratios stay. With a bound, the group with the
    largest base LR now is the one that stays inside it. Losses may be zero, negative, not finite or on a new scale:
    see `LossStream`, and `rescale_loss` where you know of it. A state that is loaded knows what its run was made with.

    Args:
        optimizer: Any torch optimizer. Its LR is the base LR; policies that choose a fraction of a bound use it only
            for the ratios of groups, and in place of the bound where none is given.
        policy: A name out of `list_policies()`, a path, or a loaded policy.
        horizon: The number of `step` calls the run will make; past it the LR holds its last value. A warning says
            so, and if it is less than the number of the policy's decisions. A state from a run with another one is
            loaded, too: the LR goes on, and decisions are made for this one.
        bound: Returns the current largest stable LR per step (`lrpilot.theory` has some); read at every step.
        warmup: Steps of linear warm-up; they count towards the horizon.
        lr_min: Smallest LR of the group with the largest base LR, absolute; a bound wins over it.
        lr_max: Largest LR of that group, absolute. None: no limit; with LBFGS the optimizer's LR.
        guard: "strict" never exceeds the bound, "relaxed" may pass it by a factor of 2, "off" ignores it.
        last_epoch: -1, also where `load_state_dict` resumes a run. Else the number of the last step of a run whose
            scheduler has no state: the LR goes on from what stands in the optimizer, and what its losses told is lost.

    Raises:
        PolicyError: The policy does not exist, or its file is malformed.
        TypeError: An argument is of another type; likewise.
        ValueError: An argument is out of range, or not the same on all ranks; the message names it.
        KeyError: `last_epoch` is given and an `initial_lr` is missing in the optimizer's groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        policy: str | os.PathLike[str] | SchedulePolicy = "universal",
        horizon: int | None = None,
        *,
        bound: Bound | None = None,
        warmup: int = 0,
        lr_min: float | None = None,
        lr_max: float | None = None,
        guard: Guard = "strict",
        last_epoch: int = -1,
    ) -> None:
        if horizon is None:
            raise ValueError("horizon is missing: the number of scheduler.step calls the run will make")
        horizon, self._warmup = whole("horizon", horizon, 1, "steps"), whole("warmup", warmup, 0, "steps")
        if self._warmup >= horizon:
            raise ValueError(f"warmup must be less than the horizon, {horizon} steps, not {self._warmup}")
        bases = self._begin(optimizer, last_epoch)
        check_same("horizon", horizon)
        policy = policy if isinstance(policy, SchedulePolicy) else load_policy(policy)
        base_lr = bases.largest if optimizer.param_groups else 1.0
        if isinstance(optimizer, LBFGS) and lr_max is None:
            lr_max = base_lr
        self._fingerprint = policy.fingerprint
        self._schedule = policy.schedule(base_lr, horizon, bound=bound, lr_min=lr_min, lr_max=lr_max, guard=guard)
        self._schedule.notices = self._notices
        self._gradients = GradientReader(self._schedule) if policy.reads_gradients else None
        if horizon < policy.control.decisions:
            self._notices.once("short", TOO_SHORT.format(horizon, policy.control.decisions))
        if bound is None and policy.control.action == "fraction_of_bound":
            self._notices.once("no bound", NO_BOUND.format(base_lr))
        if self._gradients is not None:
            self._schedule.tracker.start(parameters.weights(optimizer))
            self._schedule.agree = parameters.agreed
        if last_epoch != -1:
            self._go_on(last_epoch + 1, bases)
        super().__init__(optimizer, last_epoch)

    @property
    def skipped(self) -> int:
        """Losses that were not finite, up to the last decision; each made the LR back off."""
        return self._schedule.skipped

    def _lrs(self) -> list[LR]:
        schedule, largest = self._schedule, self._bases.largest
        multiplier = schedule.lr / schedule.base_lr
        if multiplier * largest > schedule.lr or largest < schedule.base_lr:  # by rounding, or groups came or went
            multiplier = self._within_limits(multiplier, largest)
        if self.last_epoch < self._warmup:
            multiplier *= (self.last_epoch + 1) / (self._warmup + 1)
        lrs = [base * multiplier for base in self._bases.values]
        limit = math.inf if self._bases.plain else schedule.clip(math.inf)
        return lrs if limit == math.inf else [_at_most(limit, lr) for lr in lrs]

    def _within_limits(self, multiplier: float, largest: float) -> float:
        """The multiplier that keeps the group with the largest base LR within the limits."""
        wanted = multiplier * largest
        allowed = self._schedule.clip(wanted)
        if allowed == wanted or not largest:
            return multiplier
        multiplier = allowed / largest
        return multiplier if multiplier * largest <= allowed else math.nextafter(multiplier, 0.0)

    def _decides(self) -> bool:
        self._listening = self._schedule.calls + 1 < self._schedule.horizon  # a spike counts after the last decision
        return decides_next(self._schedule)

    def _advance(self, losses: list[float], decides: bool) -> None:
        schedule = self._schedule
        schedule.enter(losses)
        reading = self._gradients.read(self.optimizer) if decides and self._gradients and schedule.heard else None
        if reading is not None and math.isfinite(reading.square):
            schedule.advance(reading.square, parameters.weights(self.optimizer), reading.sketch)
        else:
            schedule.advance()

    def _rescale(self, factor: float) -> None:
        self._schedule.rescale_loss(factor)

    def _go_on(self, steps: int, bases: BaseLRs) -> None:
        """Go on after so many steps without a state, from the LRs that stand in the optimizer."""
        ramp = min(1.0, (steps + 1) / (self._warmup + 1))
        self._schedule.go_on(steps, bases.multiple() * bases.largest / ramp)

    def _own_state(self) -> dict[str, Any]:
        moved = {name: torch.from_numpy(value.copy()) for name, value in self._schedule.tracker.state().items()}
        early = self._gradients is not None and self._gradients.early
        own = {"policy": self._fingerprint, "warmup": self._warmup, "reads_early": early}
        return {**own, "schedule": self._schedule.state(), "travel": moved}

    def _load_own(self, state: dict[str, Any]) -> None:
        if state.get("policy") != self._fingerprint:
            raise StateError(
                f"the state was saved with policy {str(state.get('policy'))[:12]}…, this scheduler has "
                f"{self._fingerprint[:12]}…: load the policy file that the run began with"
            )
        moved = parameters.arrays_of(state.get("travel", {}))
        of_earlier_version = {"base_lr": max(map(float, state["base_lrs"]), default=1.0)}
        self._schedule.load({**of_earlier_version, **state["schedule"]})
        self._warmup = state.get("warmup", self._warmup)
        self._schedule.tracker = DisplacementTracker.of(moved)
        if self._gradients is not None:
            self._gradients.early = False
            if state.get("reads_early", False):
                self._gradients.read_early(self.optimizer)


def _at_most(limit: float, lr: LR) -> LR:
    """An LR whose type has few digits must not pass a limit by rounding; an accelerator is not synchronised."""
    if not isinstance(lr, torch.Tensor):
        return lr
    rounded = torch.tensor(limit, dtype=lr.dtype)
    if float(rounded) > limit:
        rounded -= rounded * torch.finfo(lr.dtype).eps
    return lr.clamp(max=float(rounded))
