"""Tasks of several families side by side, those with a bound as one meets them who does not know it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.envs.tasks.base import AbstractTask, side_by_side
from lrpilot.envs.tasks.ranges import Range, log_uniform
from lrpilot.signals import Floats
from lrpilot.travel import Weights


class MixedTask(AbstractTask):
    """The runs of some tasks, one after the other.

    What a critic may know is the task's hidden state, with zeros after that of shorter ones, and which task it is.

    Args:
        parts: The tasks, all with the same kind of reference LR.
    """

    def __init__(self, parts: Sequence[AbstractTask]) -> None:
        self.parts = tuple(parts)
        self.batch_size = sum(part.batch_size for part in parts)
        self.hidden_size = max(part.hidden_size for part in parts) + len(parts)
        self.reference_name = parts[0].reference_name
        self.worth = np.concatenate([np.broadcast_to(part.worth, part.batch_size) for part in parts])
        self._ends = np.cumsum([0, *(part.batch_size for part in parts)])

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems in each part from a stream of its own; see `AbstractTask.reset`."""
        marked = self._split(self._marked(slots))
        for part, own, mine in zip(self.parts, rng.spawn(len(self.parts)), marked, strict=True):
            if mine.any():
                part.reset(own, mine)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run; see `AbstractTask.sgd_step`."""
        return np.concatenate([part.sgd_step(mine) for part, mine in zip(self.parts, self._split(lr), strict=True)])

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, shape (B,)."""
        return np.concatenate([part.gradient_sq() for part in self.parts])

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P), with zeros after those of smaller ones."""
        return side_by_side([part.weights() for part in self.parts])

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batches, likewise."""
        return side_by_side([part.gradients() for part in self.parts])

    def reference(self) -> Floats:
        """Return the reference LR of each run, shape (B,), per step."""
        return np.concatenate([part.reference() for part in self.parts])

    def objective(self) -> Floats:
        """Return what the runs are judged by, shape (B,)."""
        return np.concatenate([part.objective() for part in self.parts])

    def hidden(self) -> Floats:
        """Return what a critic may know, shape (B, hidden_size)."""
        which = np.eye(len(self.parts))
        states = [
            np.hstack([np.broadcast_to(flag, (part.batch_size, len(which))), part.hidden()])
            for part, flag in zip(self.parts, which, strict=True)
        ]
        return side_by_side([*states, np.zeros((0, self.hidden_size))])

    def _split(self, of_runs: NDArray[Any]) -> list[NDArray[Any]]:
        return [of_runs[start:end] for start, end in pairwise(self._ends)]


class GuessedLR(AbstractTask):
    """A task with a stability bound, as one meets it who does not know the bound: with a base LR that is a guess.

    The base LR is the first bound times an error, and nothing keeps runs inside the bound.

    Args:
        task: The task.
        error: Range of base LR over first bound, log-uniform; the same for all replicas of a problem.
        replicas: How many successive runs of the task share a problem.
        worth: What a nat of the log objective counts.
    """

    reference_name = "base_lr"

    def __init__(self, task: AbstractTask, error: Range, replicas: int = 1, worth: float = 1.0) -> None:
        self.task, self.error, self.replicas, self.worth = task, error, replicas, worth
        self.batch_size, self.hidden_size = task.batch_size, task.hidden_size + 1
        self._log_error: Floats = np.zeros(self.batch_size)
        self._base: Floats = np.ones(self.batch_size)

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems and base LRs; see `AbstractTask.reset`."""
        marked = self._marked(slots)
        self.task.reset(rng, slots)
        drawn = np.log(log_uniform(self.error, self.batch_size // self.replicas, rng)).repeat(self.replicas)
        self._log_error = np.where(marked, drawn, self._log_error)
        self._base = np.where(marked, self.task.reference() * np.exp(self._log_error), self._base)

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

    def reference(self) -> Floats:
        """Return the base LR of each run, shape (B,), per step; constant over a run."""
        return self._base

    def objective(self) -> Floats:
        """Return what the runs are judged by, shape (B,)."""
        return self.task.objective()

    def hidden(self) -> Floats:
        """Return the log of the error and what the task's critic may know, shape (B, hidden_size)."""
        return np.column_stack([self._log_error / 3, self.task.hidden()])
