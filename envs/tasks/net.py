"""Training of small networks on real data, B runs in a few groups: what schedules for unknown networks learn from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrpilot.envs.tasks.arena import AbstractArena
from lrpilot.envs.tasks.base import AbstractTask, end_to_end, side_by_side
from lrpilot.envs.tasks.net_group import NetGroup
from lrpilot.envs.tasks.net_problems import NetProblems, draw_structure, suitable
from lrpilot.signals import Floats
from lrpilot.travel import Motion, Weights


class NetTask(AbstractTask):
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
        self.problems = problems
        self.batch_size = batch_size
        self.replicas = replicas
        self.data = tuple(data) or problems.data
        for name in self.data:
            suitable(problems, name)
        self.groups: list[NetGroup] = []

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new groups, or new problems for single runs; see `AbstractTask.reset`."""
        if slots is None or slots.all():
            count, alike = self.batch_size // self.replicas, self.problems.alike
            sizes = [min(alike, count - first) for first in range(0, count, alike)]
            structures = [draw_structure(self.problems, self.data, rng) for _ in sizes]
            drawn = zip(structures, sizes, strict=True)
            self.groups = [NetGroup(self.problems, entry, size, self.replicas, rng) for entry, size in drawn]
            return
        for group, mine in zip(self.groups, self._parts(slots), strict=True):
            if mine.any():
                group.restart(mine, rng)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run's optimizer; see `AbstractTask.sgd_step`."""
        parts = zip(self.groups, self._parts(np.asarray(lr, dtype=np.float64)), strict=True)
        return self._joined([group.sgd_step(part) for group, part in parts])

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, without weight decay, shape (B,)."""
        return self._joined([group.gradient.square().sum(1) for group in self.groups])

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P), with zeros after those of smaller networks."""
        return side_by_side([group.parameters.numpy() for group in self.groups])

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batch, without weight decay, shape (B, P), padded likewise."""
        return side_by_side([group.gradient.numpy() for group in self.groups])

    def depart(self, slots: NDArray[np.bool_] | None = None) -> None:
        """Follow the weights from here on, group by group; see `AbstractTask.depart`."""
        for group, mine in zip(self.groups, self._parts(self._marked(slots)), strict=True):
            group.travel.start(group.parameters.numpy(), mine.numpy())

    def motion(self) -> Motion:
        """Return how the weights moved since the last call; see `AbstractTask.motion`."""
        moved = ((group.travel, group.parameters.numpy(), group.gradient.numpy()) for group in self.groups)
        return end_to_end(travel.move(weights, gradient) for travel, weights, gradient in moved)

    def reference(self) -> Floats:
        """Return the base LR, shape (B,), per step: the LR that seems right times an error; constant over a run."""
        return self._joined([group.reference for group in self.groups])

    def mislead(self, error: Floats) -> None:
        """Set how wrong the base LRs are, until the next reset.

        Args:
            error: Base LR over the LR that seems right, shape (B,).
        """
        for group, part in zip(self.groups, self._parts(np.asarray(error, dtype=np.float64)), strict=True):
            group.lr_error = part.clone()

    def objective(self) -> Floats:
        """Return the loss on held-out samples, shape (B,), in nats a target; infinite where it is not finite."""
        return self._joined([group.objective() for group in self.groups])

    def test_loss(self) -> Floats:
        """Return the loss on the test part of the data, shape (B,), in nats a target: for final scores only."""
        return self._joined([group.test_loss() for group in self.groups])

    def hidden(self) -> Floats:
        """Return logs of LR error, samples, 1 − momentum, objective over start, batch, P; AdamW, noise; (B, 8)."""
        return self._joined([group.hidden() for group in self.groups])

    def arenas(self) -> Sequence[AbstractArena]:
        """Return the groups; see `AbstractTask.arenas`."""
        return self.groups

    def _parts(self, of_runs: NDArray[Any]) -> Sequence[Tensor]:
        return torch.split(torch.from_numpy(of_runs), [len(group.parameters) for group in self.groups])

    @staticmethod
    def _joined(parts: Sequence[Tensor]) -> Floats:
        joined: Floats = torch.cat(list(parts)).double().numpy()
        return joined
