"""Tasks made of other tasks: several one after the other, or one seen in another way."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.displacement import DisplacementCosines
from lrpilot.envs.ranges import Range, log_uniform
from lrpilot.envs.tasks.base import AbstractTask


def side_by_side(parts: Sequence[NDArray[Any]], least: int = 0) -> NDArray[Any]:
    """Stack the rows of arrays of shapes (B_i, P_i), with zeros after those of narrower ones, `least` in all."""
    most = max(least, *(part.shape[1] for part in parts))
    return np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in parts])


def _over_parts(name: str, join: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """A method that splits its arguments, each of shape (B, …), over all parts, and joins what they return."""

    def method(self: "CompositeTask", *of_runs: NDArray[Any]) -> Any:
        pieces = list(zip(*map(self.split, of_runs), strict=True)) or [()] * len(self.parts)
        return join([getattr(part, name)(*own) for part, own in zip(self.parts, pieces, strict=True)])

    return method


class CompositeTask(AbstractTask):
    """The runs of some tasks, one after the other.

    Args:
        parts: The tasks, all with the same kind of reference LR.

    Attributes:
        parts: The tasks.
    """

    def __init__(self, parts: Sequence[AbstractTask]) -> None:
        self.parts: list[AbstractTask] = list(parts)
        self.batch_size = sum(part.batch_size for part in parts)
        self.hidden_size = max(part.hidden_size for part in parts)
        self.reference_name = parts[0].reference_name
        self.reward_weight = np.concatenate([np.broadcast_to(part.reward_weight, part.batch_size) for part in parts])

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems, in each part from a stream of its own; see `AbstractTask.reset`."""
        slots = self._marked(slots)
        for part, stream, mine in zip(self.parts, rng.spawn(len(self.parts)), self.split(slots), strict=True):
            if mine.any():
                part.reset(stream, mine)

    def split(self, of_runs: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the entries of each part from those of all runs, shape (B, …)."""
        sizes = [part.batch_size for part in self.parts]
        return np.split(of_runs, list(accumulate(sizes))[:-1])

    def reference(self) -> Floats:
        """Return the reference LR of each run, shape (B,), per step."""
        return np.concatenate([part.reference() for part in self.parts])

    sgd_step = _over_parts("sgd_step", np.concatenate)
    gradient_sq = _over_parts("gradient_sq", np.concatenate)
    weights = _over_parts("weights", side_by_side)
    gradients = _over_parts("gradients", side_by_side)
    start_tracking = _over_parts("start_tracking", lambda _: None)
    displacement_cosines = _over_parts(
        "displacement_cosines", lambda parts: DisplacementCosines(*map(np.concatenate, zip(*parts, strict=True)))
    )
    objective = _over_parts("objective", np.concatenate)
    test_loss = _over_parts("test_loss", np.concatenate)
    set_lr_error = _over_parts("set_lr_error", lambda _: None)
    hidden = _over_parts("hidden", side_by_side)


class AbstractWrapper(CompositeTask):
    """A task seen in another way: what a subclass does not say is as in the task.

    Args:
        task: The task.
    """

    def __init__(self, task: AbstractTask) -> None:
        super().__init__([task])
        self.task = task

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems, from the same stream as the task alone; see `AbstractTask.reset`."""
        self.task.reset(rng, slots)


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


class MixedTask(CompositeTask):
    """Tasks of several families side by side; a critic is told which task a run is of."""

    def __init__(self, parts: Sequence[AbstractTask]) -> None:
        super().__init__([Numbered(part, index, len(parts)) for index, part in enumerate(parts)])
