"""Tasks seen in another way: from a guessed base LR instead of a bound, or with a number for the critic."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats, Weights
from lrpilot.displacement import DisplacementCosines
from lrpilot.envs.ranges import Range, log_uniform
from lrpilot.envs.tasks.base import AbstractParameterAccess, AbstractTask


class AbstractWrapper(AbstractTask):
    """A task seen in another way: what a subclass does not say is as in the task.

    Args:
        task: The task.
    """

    def __init__(self, task: AbstractTask) -> None:
        self.task = task
        self.batch_size, self.hidden_size = task.batch_size, task.hidden_size
        self.reference_name, self.reward_weight = task.reference_name, task.reward_weight

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems; see `AbstractTask.reset`."""
        self.task.reset(rng, slots)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run; see `AbstractTask.sgd_step`."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.task.sgd_step(lr)

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, shape (B,)."""
        return self.task.gradient_sq()

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P)."""
        return self.task.weights()

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batches, shape (B, P)."""
        return self.task.gradients()

    def start_tracking(self, slots: NDArray[np.bool_]) -> None:
        """Track the weights from here on; see `AbstractTask.start_tracking`."""
        self.task.start_tracking(slots)

    def displacement_cosines(self) -> DisplacementCosines:
        """Return how the weights moved; see `AbstractTask.displacement_cosines`."""
        return self.task.displacement_cosines()

    def reference(self) -> Floats:
        """Return the reference LR of each run, shape (B,), per step."""
        return self.task.reference()

    def objective(self) -> Floats:
        """Return what the runs are judged by, shape (B,)."""
        return self.task.objective()

    def test_loss(self) -> Floats:
        """Return what final scores are taken of, shape (B,)."""
        return self.task.test_loss()

    def set_lr_error(self, error: Floats) -> None:
        """Set how wrong the base LRs are; see `AbstractTask.set_lr_error`."""
        self.task.set_lr_error(error)

    def hidden(self) -> Floats:
        """Return what a critic may know, shape (B, hidden_size)."""
        return self.task.hidden()

    def accesses(self) -> Sequence[AbstractParameterAccess]:
        """Return the accesses of the task."""
        return self.task.accesses()


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
