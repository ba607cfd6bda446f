"""Runs that share a problem and its noise, and are rewarded relative to each other."""

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.summary import RANGE

RELATIVE_STATE_SIZE = 2  # entries of `ReplicaGroups.relative_state` a run


class ReplicaGroups:
    """B runs, of which each R successive ones share problem and noise and differ in their actions alone.

    The reward of each is taken relative to the mean of its group: the actions of the others are independent of its
    own, so the policy gradient keeps its mean, and what the problem and its noise contribute cancels.

    Args:
        runs: B.
        replicas: R, a divisor of B; with 1 rewards stay as they are.
        reward_scale: If given, a run is rewarded for g(lead), g(x) = scale · asinh(x / scale), where the lead is its
            return so far minus the median of its group: leads beyond the scale, in nats, count logarithmically. Else
            the few problems on which runs blow up make up nearly all of the gradient's variance.
        reward_floor: With a scale: returns below it count as it, in nats, so that no failure counts more than another.

    Attributes:
        returns: Sum of the rewards since the start of the run, shape (B,).

    Raises:
        ValueError: `replicas` does not divide the number of runs.
    """

    def __init__(
        self, runs: int, replicas: int = 1, reward_scale: float | None = None, reward_floor: float | None = None
    ) -> None:
        if runs % replicas:
            raise ValueError(f"replicas must divide the {runs} runs, {replicas} does not")
        self.replicas, self.reward_scale = replicas, reward_scale
        self.reward_floor = -np.inf if reward_floor is None else reward_floor
        self.returns: Floats = np.zeros(runs)
        self._rewarded: Floats = np.zeros(runs)  # what each got since the start of the run, with a scale

    def relative_reward(self, reward: Floats) -> Floats:
        """Take in a decision's rewards, shape (B,), and return the relative reward of each run."""
        self.returns = self.returns + reward
        if self.replicas == 1:
            return reward
        if self.reward_scale is None:
            groups = reward.reshape(-1, self.replicas)
            relative: Floats = (groups - groups.mean(1, keepdims=True)) * self.replicas / (self.replicas - 1)
            return relative.ravel()
        total = self.reward_scale * np.arcsinh(self._lead() / self.reward_scale)
        reward, self._rewarded = total - self._rewarded, total
        return reward

    def relative_state(self, log_multiple: Floats) -> Floats:
        """Return how each run stands in its group: what a critic needs to predict its relative rewards.

        A run that leads because its LR is lower for now will fall back; one whose LR is higher may catch up.

        Args:
            log_multiple: Log of LR over its reference, shape (B,).

        Returns:
            asinh(lead / scale) and log LR over the group's median, shape (B, RELATIVE_STATE_SIZE), clipped.
        """
        lead = np.arcsinh(self._lead() / (self.reward_scale or 1.0))
        state: Floats = np.stack([lead, self._over_median(log_multiple)], 1)
        return state.clip(-RANGE, RANGE)

    def restart(self, slots: NDArray[np.bool_]) -> None:
        """Begin anew in the marked slots, shape (B,)."""
        self.returns = np.where(slots, 0.0, self.returns)
        self._rewarded = np.where(slots, 0.0, self._rewarded)

    def _lead(self) -> Floats:
        return self._over_median(np.maximum(self.returns, self.reward_floor))

    def _over_median(self, of_runs: Floats) -> Floats:
        groups = of_runs.reshape(-1, self.replicas)
        return (groups - np.median(groups, 1, keepdims=True)).ravel()
