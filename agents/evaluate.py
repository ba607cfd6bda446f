"""Play whole runs under a policy and record them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.agents.problem_sets import Role, problem_set
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe
from lrpilot.envs.process import Process
from lrpilot.policy import SchedulePolicy

DIVERGED_SCORE = float(
    np.log(10.0)
)  # what a diverged run counts as, or one that ends at ten times its first loss or worse
Act = Callable[[NDArray[Any], int], NDArray[Any]]  # observation (S, B) and index of the decision -> actions (B,)


@dataclass(frozen=True)
class Episodes:
    """Whole runs on P problems, with K decisions each.

    Attributes:
        log_loss: log f over the run, relative to its start, shape (K + 1, P).
        log_multiple: log of LR over its reference (bound or base LR) at each decision, shape (K, P).
        action: What the policy chose, shape (K, P).
        diverged: Which runs diverged, shape (P,).
        shares: Share of the horizon at each decision and at the end, shape (K + 1,).
    """

    log_loss: Floats
    log_multiple: Floats
    action: Floats
    diverged: Floats
    shares: Floats

    @property
    def final(self) -> Floats:
        """Final log loss relative to the start, shape (P,); a diverged run counts as tenfold worse."""
        return self.log_loss[-1]


def play(act: Act, process: Process) -> Episodes:
    """Play one batch of runs from where the process stands (just reset) to the end.

    Args:
        act: The policy.
        process: Runs at their start.

    Returns:
        The record.
    """
    count = process.task.batch_size
    losses, multiples, actions = [np.zeros(count)], [], []
    observation = process.observation()
    for decision in range(len(process.times) - 1):
        action = np.asarray(act(observation.T, decision), dtype=np.float64)
        transition = process.step(action)
        observation = transition.observation
        diverged = process.diverged
        losses.append(np.where(diverged, DIVERGED_SCORE, losses[-1] - transition.reward))
        multiples.append(np.broadcast_to(process.signals.log_multiple, (count,)))
        actions.append(action)
    return Episodes(
        np.array(losses),
        np.array(multiples),
        np.array(actions),
        diverged.astype(np.float64),
        process.times / process.times[-1],
    )


def evaluate(act: Act, recipe: Recipe, role: Role, size: int, loss_only: bool = False) -> Episodes:
    """Play the fixed problems of a role.

    Args:
        act: The policy.
        recipe: The distribution of problems and how decisions are made.
        role: Which problems.
        size: How many.
        loss_only: Hide gradients from the policy.

    Returns:
        The record of all, in a fixed order.
    """
    parts = [play(act, process) for process in problem_set(recipe, role, size, loss_only)]
    records = {name: np.concatenate([getattr(part, name) for part in parts], -1) for name in _RECORDS}
    return replace(parts[0], **records)


def act_by(policy: SchedulePolicy) -> Act:
    """Return the policy's deterministic choice as an `Act`."""
    return lambda observation, _: policy.action(observation)


_RECORDS = ("log_loss", "log_multiple", "action", "diverged")
