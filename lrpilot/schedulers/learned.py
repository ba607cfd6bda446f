"""LearnedLR: a trained schedule policy as a torch scheduler."""

import math
import os
import warnings
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lrpilot.control import Guard
from lrpilot.displacement import DisplacementTracker
from lrpilot.policy import SchedulePolicy, load_policy
from lrpilot.schedule import Bound
from lrpilot.schedulers import parameters
from lrpilot.schedulers.base import AbstractMetricLR, base_lrs_of


class LearnedLR(AbstractMetricLR):
    """Set the LR by a trained policy that watches the training loss.

        scheduler = LearnedLR(optimizer, "nmf", horizon=1_000, bound=NMFBound(W, H, X))
        for …:
            …
            optimizer.step()
            scheduler.step(loss)

    Policies that read gradients take them from `.grad` at decisions, so call `step` before `zero_grad`; where there
    are none they do with the losses alone.

    The same multiplier goes to every parameter group, so their ratios stay. With a bound, the group with the
    largest base LR is the one that stays inside it.

    Args:
        optimizer: Any torch optimizer. Its LR is the base LR; policies that choose a fraction of a bound use it only
            for the ratios of groups, and in place of the bound where none is given.
        policy: A name out of `list_policies()`, a path, or a loaded policy.
        horizon: The number of `step` calls the run will make; past it the LR holds its last value. A warning says
            so if it is less than the number of the policy's decisions.
        bound: Returns the current largest stable LR per step (`lrpilot.theory` has some); read at every step.
        warmup: Steps of linear warm-up; they count towards the horizon.
        lr_min: Smallest LR of the group with the largest base LR, absolute; a bound wins over it.
        lr_max: Largest LR of that group, absolute.
        guard: "strict" never exceeds the bound, "relaxed" may pass it by a factor of 2, "off" ignores it.
        last_epoch: Steps already made, or -1 for a new run.

    Raises:
        PolicyError: The policy does not exist, or its file is malformed.
        ValueError: An argument is out of range; the message names it.
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
        if warmup < 0:
            raise ValueError(f"warmup must be a number of steps, at least 0, not {warmup}")
        policy = policy if isinstance(policy, SchedulePolicy) else load_policy(policy)
        self._fingerprint, self._reads_gradients, self._warmup = policy.fingerprint, policy.reads_gradients, warmup
        base_lrs = base_lrs_of(optimizer)
        self._largest_base = max(base_lrs, default=1.0)
        self._schedule = policy.schedule(
            self._largest_base, horizon, bound=bound, lr_min=lr_min, lr_max=lr_max, guard=guard
        )
        if horizon < policy.control.decisions:
            warnings.warn(
                f"horizon={horizon} is less than the {policy.control.decisions} decisions that the policy makes in a "
                "run: it was not trained for so short ones, and may not reach a useful LR",
                UserWarning,
                stacklevel=2,
            )
        if self._reads_gradients and base_lrs:
            self._schedule.tracker.start(parameters.weights(optimizer))
            self._schedule.agree = parameters.agreed
        super().__init__(optimizer, last_epoch)

    @property
    def skipped(self) -> int:
        """Losses that were not finite, up to the last decision; each made the LR back off."""
        return self._schedule.skipped

    def _lrs(self) -> list[float | Tensor]:
        multiplier = self._schedule.lr / self._largest_base
        if self.last_epoch < self._warmup:
            multiplier *= (self.last_epoch + 1) / (self._warmup + 1)
        return self._scaled(multiplier)

    def _decides(self) -> bool:
        return self._schedule.decides_at <= self._schedule.calls + 1 < self._schedule.horizon

    def _advance(self, losses: list[float], decides: bool) -> None:
        schedule = self._schedule
        schedule.enter(losses)
        gradient_sq = math.nan
        if decides and self._reads_gradients and schedule.heard:
            gradient_sq = parameters.gradient_sq(self.optimizer)
        if math.isfinite(gradient_sq):
            schedule.advance(gradient_sq, parameters.weights(self.optimizer), parameters.gradient(self.optimizer))
        else:
            schedule.advance()
        self._listening = schedule.decides_at < math.inf

    def _own_state(self) -> dict[str, Any]:
        moved = {name: torch.from_numpy(value.copy()) for name, value in self._schedule.tracker.state().items()}
        return {"policy": self._fingerprint, "schedule": self._schedule.state(), "travel": moved}

    def _load_own(self, state: dict[str, Any]) -> None:
        if state.get("policy") != self._fingerprint:
            raise ValueError(
                f"the state was saved with policy {str(state.get('policy'))[:12]}…, this scheduler has "
                f"{self._fingerprint[:12]}…: load the policy file that the run began with"
            )
        self._schedule.load(state["schedule"])
        moved = {name: value.numpy() for name, value in state.get("travel", {}).items()}
        self._schedule.tracker = DisplacementTracker.of(moved)
        self._listening = self._schedule.decides_at < math.inf
