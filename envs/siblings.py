"""Runs that share a problem and its noise, and what each is paid for: to do better than the others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lrpilot.signals import RANGE, Floats

STANDING_SIZE = 2  # entries of `Siblings.standing` a run


class Siblings:
    """B runs, of which each R successive ones share problem and noise and differ in their actions alone.

    Each is paid its reward minus the mean reward of its siblings: their actions are independent of its own, so the
    policy gradient keeps its mean, and what the problem and its noise contribute cancels.

    Args:
        runs: B.
        replicas: R, a divisor of B; with 1 there are no siblings, and the pay is the reward.
        tail: If given, each is paid for g(lead) instead, g(x) = tail · asinh(x / tail), where the lead is its return
            so far minus the median of its siblings': differences beyond `tail`, in nats, count logarithmically. Else
            the few problems on which runs blow up make up nearly all of the gradient's variance.
        worst: Returns below it count as it, in nats: a run that failed by far did not fail more than another.

    Attributes:
        returns: Sum of the rewards since the start of the run, shape (B,).

    Raises:
        ValueError: `replicas` does not divide the number of runs.
    """

    def __init__(self, runs: int, replicas: int = 1, tail: float | None = None, worst: float | None = None) -> None:
        if runs % replicas:
            raise ValueError(f"replicas must divide the {runs} runs, {replicas} does not")
        self.replicas, self.tail = replicas, tail
        self.worst = -np.inf if worst is None else worst
        self.returns: Floats = np.zeros(runs)
        self._due: Floats = np.zeros(runs)  # what each has been paid since the start of the run, with a tail

    def pay(self, reward: Floats) -> Floats:
        """Take in a decision's rewards, shape (B,), and return what each run is paid for it."""
        self.returns = self.returns + reward
        if self.replicas == 1:
            return reward
        if self.tail is None:
            groups = reward.reshape(-1, self.replicas)
            relative: Floats = (groups - groups.mean(1, keepdims=True)) * self.replicas / (self.replicas - 1)
            return relative.ravel()
        due = self.tail * np.arcsinh(self._lead() / self.tail)
        pay, self._due = due - self._due, due
        return pay

    def standing(self, log_multiple: Floats) -> Floats:
        """Return how each run stands among its siblings: what a critic needs to predict what it will be paid.

        A run that leads because its LR is lower for now will fall back; one whose LR is higher may catch up.

        Args:
            log_multiple: Log of LR over its reference, shape (B,).

        Returns:
            asinh(lead / tail) and log LR over the siblings' median, shape (B, STANDING_SIZE), clipped.
        """
        lead = np.arcsinh(self._lead() / (self.tail or 1.0))
        standing: Floats = np.stack([lead, self._over_median(log_multiple)], 1)
        return standing.clip(-RANGE, RANGE)

    def restart(self, slots: NDArray[np.bool_]) -> None:
        """Begin anew in the marked slots, shape (B,)."""
        self.returns = np.where(slots, 0.0, self.returns)
        self._due = np.where(slots, 0.0, self._due)

    def _lead(self) -> Floats:
        return self._over_median(np.maximum(self.returns, self.worst))

    def _over_median(self, of_runs: Floats) -> Floats:
        groups = of_runs.reshape(-1, self.replicas)
        over: Floats = (groups - np.median(groups, 1, keepdims=True)).ravel()
        return over
