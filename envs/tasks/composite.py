"""Tasks made of other tasks: several one after the other, or one seen in another way."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.displacement import DisplacementCosines
from lrpilot.envs.tasks.base import AbstractTask, TriedLRs


def _stacked(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack the rows of arrays of shapes (B_i, P_i), with zeros after those of narrower ones."""
    most = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in parts])


def _over_parts(name: str, join: Callable[[list[Any]], Any]) -> Callable[..., Any]:
    """A method that splits its arguments, each of shape (B, …), over all parts, and joins what they return."""

    def method(self: "AbstractCompositeTask", *of_runs: NDArray[Any]) -> Any:
        pieces = list(zip(*map(self.split, of_runs), strict=True)) or [()] * len(self.parts)
        return join([getattr(part, name)(*own) for part, own in zip(self.parts, pieces, strict=True)])

    return method


class AbstractCompositeTask(AbstractTask):
    """The runs of some tasks, one after the other.

    Attributes:
        parts: The tasks, all with the same kind of reference LR.
    """

    parts: list[AbstractTask]

    def split(self, of_runs: NDArray[Any]) -> list[NDArray[Any]]:
        """Return the entries of each part from those of all runs, shape (B, …)."""
        sizes = [part.batch_size for part in self.parts]
        return np.split(of_runs, list(accumulate(sizes))[:-1])

    def reference(self) -> Floats:
        """Return the reference LR of each run, shape (B,), per step."""
        return np.concatenate([part.reference() for part in self.parts])

    sgd_step = _over_parts("sgd_step", np.concatenate)
    gradient_sq = _over_parts("gradient_sq", np.concatenate)
    weights = _over_parts("weights", _stacked)
    gradients = _over_parts("gradients", _stacked)
    start_tracking = _over_parts("start_tracking", lambda _: None)
    displacement_cosines = _over_parts(
        "displacement_cosines", lambda parts: DisplacementCosines(*map(np.concatenate, zip(*parts, strict=True)))
    )
    objective = _over_parts("objective", np.concatenate)
    test_loss = _over_parts("test_loss", np.concatenate)
    set_lr_error = _over_parts("set_lr_error", lambda _: None)
    hidden = _over_parts("hidden", np.concatenate)

    def tried_lrs(self, horizon: int) -> TriedLRs:
        """Return what other LRs would end with; see `AbstractTask.tried_lrs`."""
        return TriedLRs(*map(np.concatenate, zip(*(part.tried_lrs(horizon) for part in self.parts), strict=True)))


class AbstractWrapper(AbstractCompositeTask):
    """A task seen in another way: what a subclass does not say is as in the task.

    Args:
        task: The task.
    """

    def __init__(self, task: AbstractTask) -> None:
        self.task, self.parts = task, [task]
        self.batch_size, self.hidden_size, self.reference_name = task.batch_size, task.hidden_size, task.reference_name

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems, from the same stream as the task alone; see `AbstractTask.reset`."""
        self.task.reset(rng, slots)
