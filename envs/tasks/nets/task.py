"""Training of small networks on real data, B runs in a few groups: what schedules for unknown networks learn from."""

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lrpilot.envs.tasks.composite import AbstractCompositeTask
from lrpilot.envs.tasks.nets.group import NetGroup
from lrpilot.envs.tasks.nets.problems import NetProblems, draw_structure, suitable


class NetTask(AbstractCompositeTask):
    """Mini-batch training of networks by cross-entropy, with SGD or AdamW and a base LR that is wrong.

    Each group of `problems.alike` problems has its own data set, architecture, optimizer and size of
    mini-batch. The runs of a group differ in training samples, noise of the labels, initial weights, momentum, weight
    decay and base LR. The objective is the loss on samples that are never trained on.

    A reset of single runs leaves their group's structure as it is, and draws everything else anew; with replicas, it
    begins the same problem anew.

    Args:
        problems: The distribution that problems are drawn from.
        batch_size: B, how many run side by side.
        data: Names of data sets; those of the problems if empty.
        replicas: How many successive runs share everything but the LR, mini-batches too; divides B.

    Raises:
        ValueError: B can't be divided so, or no architecture suits one of the data sets.

    Example:
        Two problems in iris, each as two replicas; guessing costs 1.1 nats with three classes:

        >>> problems = NetProblems(alike=2, data=("iris",), architectures=("mlp",), lr_error=(1.0, 1.0))
        >>> task = NetTask(problems, 4, replicas=2)
        >>> task.reset(np.random.default_rng(3))
        >>> start = task.objective()
        >>> for _ in range(100): loss = task.sgd_step(task.reference())
        >>> start.round(1), task.objective() < 0.6
        (array([1.1, 1.1, 1.1, 1.1]), array([ True,  True,  True,  True]))
    """

    hidden_size = 8
    reference_name = "base_lr"

    def __init__(self, problems: NetProblems, batch_size: int, data: Sequence[str] = (), replicas: int = 1) -> None:
        if batch_size % replicas:
            raise ValueError(f"batch_size must be a multiple of replicas = {replicas}, not {batch_size}")
        self.problems, self.replicas = problems, replicas
        self.batch_size, self.parts = batch_size, []
        self.data = tuple(data) or problems.data
        for name in self.data:
            suitable(problems, name)

    @property
    def groups(self) -> list[NetGroup]:
        """The groups of runs."""
        return cast(list[NetGroup], self.parts)

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new groups, or new problems for single runs; see `AbstractTask.reset`."""
        slots = self._marked(slots)
        if slots.all():
            count, alike = self.batch_size // self.replicas, self.problems.alike
            sizes = [min(alike, count - first) for first in range(0, count, alike)]
            structures = [draw_structure(self.problems, self.data, rng) for _ in sizes]
            drawn = zip(structures, sizes, strict=True)
            self.parts = [NetGroup(self.problems, entry, size, self.replicas, rng) for entry, size in drawn]
            return
        for group, mine in zip(self.parts, self.split(slots), strict=True):
            if mine.any():
                group.reset(rng, mine)
