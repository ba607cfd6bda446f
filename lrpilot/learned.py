"""LearnedLR: a trained schedule policy as a torch scheduler."""

from __future__ import annotations

import math
import os
from typing import Any

import torch
from torch.optim import Optimizer

from lrpilot import readings
from lrpilot.clipping import Guard
from lrpilot.metric_lr import AbstractMetricLR
from lrpilot.policy import SchedulePolicy, load_policy
from lrpilot.schedule import Bound
from lrpilot.travel import Travel


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
        horizon: The number of `step` calls the run will make; past it the LR holds its last value.
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
        self._fingerprint = policy.fingerprint
        self._reads_gradients = policy.reads_gradients
        self._warmup = warmup
        groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
        self._largest_base = max((float(group.get("initial_lr", group["lr"])) for group in groups), default=1.0)
        self._schedule = policy.schedule(
            self._largest_base, horizon, bound=bound, lr_min=lr_min, lr_max=lr_max, guard=guard
        )
        if self._reads_gradients and groups:
            self._schedule.travel.start(readings.weights(optimizer))
        super().__init__(optimizer, last_epoch)

    @property
    def multiplier(self) -> float:
        """LR over base LR, the same for all groups."""
        ramp = min(1.0, (self.last_epoch + 1) / (self._warmup + 1))
        return self._schedule.lr / self._largest_base * ramp

    @property
    def skipped(self) -> int:
        """Losses so far that were not finite; each made the LR back off."""
        return self._schedule.skipped

    def _observe(self, loss: float) -> None:
        self._schedule.observe(loss)

    def _advance(self) -> None:
        if not self._schedule.observed:
            self._warn_once("no loss seen yet, so the LR holds: call scheduler.step(loss), or observe(loss) first")
        gradient_sq = math.nan
        if self._reads_gradients and self._schedule.calls_to_decision == 1:
            gradient_sq = readings.gradient_sq(self.optimizer)
        known = math.isfinite(gradient_sq)
        self._schedule.advance(gradient_sq, readings.weights(self.optimizer) if known else None)

    def _wants_losses(self) -> bool:
        return self._schedule.calls_to_decision == 1

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data: it loads with `torch.load(weights_only=True)`."""
        self._drain()
        own = {"last_epoch": self.last_epoch, "_step_count": self._step_count, "_warned": self._warned}
        lrs = {"base_lrs": list(self.base_lrs), "_last_lr": list(self._last_lr)}
        travel = {name: torch.from_numpy(value.copy()) for name, value in self._schedule.travel.state().items()}
        return {**own, **lrs, "policy": self._fingerprint, "schedule": self._schedule.state(), "travel": travel}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; the run goes on bit for bit.

        Args:
            state_dict: What `state_dict` returned, of a scheduler with the same arguments.

        Raises:
            ValueError: The state is of another policy, or no state of a LearnedLR.
        """
        if state_dict.get("policy") != self._fingerprint:
            raise ValueError(
                f"the state was saved with policy {str(state_dict.get('policy'))[:12]}…, this scheduler has "
                f"{self._fingerprint[:12]}…: load the policy file that the run began with"
            )
        self._schedule.load(state_dict["schedule"])
        self._schedule.travel = Travel(**{name: value.numpy() for name, value in state_dict["travel"].items()})
        self._waiting.clear()
        for key in ("last_epoch", "_step_count", "_warned", "base_lrs", "_last_lr"):
            value = state_dict[key]
            setattr(self, key, list(value) if isinstance(value, list) else value)
