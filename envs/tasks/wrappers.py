"""Tasks seen in another way: from a guessed base LR instead of a bound, or with a number for the critic."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.envs.ranges import Range, log_uniform
from lrpilot.envs.tasks.base import AbstractTask


def _delegated(name: str) -> Callable[..., Any]:
    """A method that is that of the task."""

    def method(self: "AbstractWrapper", *arguments: Any) -> Any:
        return getattr(self.task, name)(*arguments)

    return method


class AbstractWrapper(AbstractTask):
    """A task seen in another way: what a subclass does not say is as in the task.

    Args:
        task: The task.
    """

    def __init__(self, task: AbstractTask) -> None:
        self.task = task
        self.batch_size, self.hidden_size = task.batch_size, task.hidden_size
        self.reference_name, self.reward_weight = task.reference_name, task.reward_weight

    reset = _delegated("reset")
    sgd_step = _delegated("sgd_step")
    gradient_sq = _delegated("gradient_sq")
    weights = _delegated("weights")
    gradients = _delegated("gradients")
    start_tracking = _delegated("start_tracking")
    displacement_cosines = _delegated("displacement_cosines")
    reference = _delegated("reference")
    objective = _delegated("objective")
    test_loss = _delegated("test_loss")
    set_lr_error = _delegated("set_lr_error")
    hidden = _delegated("hidden")


class Numbered(AbstractWrapper):
    """A task whose critic sees which of some tasks it is, before the task's hidden state.

    Args:
        task: The task.
        index: Which it is.
        count: Of how many.
    """

    def __init__(self, task: AbstractTask, index: int, count: int) -> None:
        super().__init__(task)
        self.hidden_size = task.hidden_size + count
        self._flags = np.broadcast_to(np.eye(count)[index], (task.batch_size, count))

    def hidden(self) -> Floats:
        """Return which task it is and what its critic may know, shape (B, hidden_size)."""
        return np.hstack([self._flags, self.task.hidden()])


class GuessedLR(AbstractWrapper):
    """A task with a stability bound, seen without it: with a base LR that is a guess.

    The base LR is the first bound times an error, and nothing keeps runs inside the bound.

    Args:
        task: The task.
        error: Range of base LR over first bound, log-uniform; the same for all replicas of a problem.
        replicas: How many successive runs of the task share a problem.
        reward_weight: What a nat of the log objective counts.
    """

    def __init__(self, task: AbstractTask, error: Range, replicas: int = 1, reward_weight: float = 1.0) -> None:
        super().__init__(task)
        self.error, self.replicas, self.reward_weight, self.reference_name = error, replicas, reward_weight, "base_lr"
        self.hidden_size = task.hidden_size + 1
        self._log_error: Floats = np.zeros(self.batch_size)
        self._base: Floats = np.ones(self.batch_size)

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems and base LRs; see `AbstractTask.reset`."""
        marked = self._marked(slots)
        self.task.reset(rng, slots)
        drawn = np.log(log_uniform(self.error, self.batch_size // self.replicas, rng)).repeat(self.replicas)
        self._log_error = np.where(marked, drawn, self._log_error)
        self._base = np.where(marked, self.task.reference() * np.exp(self._log_error), self._base)

    def reference(self) -> Floats:
        """Return the base LR of each run, shape (B,), per step; constant over a run."""
        return self._base

    def hidden(self) -> Floats:
        """Return the log of the error and what the task's critic may know, shape (B, hidden_size)."""
        return np.column_stack([self._log_error / 3, self.task.hidden()])
