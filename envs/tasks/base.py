"""The interface between a training task and the decision process around it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.envs.tasks.arena import AbstractArena
from lrpilot.signals import Floats
from lrpilot.travel import Motion, Travel, Weights


def side_by_side(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Stack the rows of arrays of shapes (B_i, P_i), with zeros after those of narrower ones."""
    most = max(part.shape[1] for part in parts)
    return np.concatenate([np.pad(part, ((0, 0), (0, most - part.shape[1]))) for part in parts])


def end_to_end(parts: Iterable[Motion]) -> Motion:
    """Return how all runs moved, each entry (B,), from how parts of the runs did, each (B_i,)."""
    return Motion(*map(np.concatenate, zip(*parts, strict=True)))


class AbstractTask(ABC):
    """B training runs side by side, each with its own data, initialisation and noise.

    Attributes:
        batch_size: B, the number of runs.
        hidden_size: Entries of `hidden` a run.
        reference_name: What `reference` returns: "bound" or "base_lr".
        worth: What a nat of the log objective counts, shape (B,), or () for all runs.
    """

    batch_size: int
    hidden_size: int
    reference_name: str = "bound"
    worth: Floats | float = 1.0

    @abstractmethod
    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems and start them.

        Args:
            rng: The only source of randomness, for the problems and for the noise of their steps.
            slots: Shape (B,), true where to draw anew; None for all.
        """

    @abstractmethod
    def sgd_step(self, lr: Floats) -> Floats:
        """Make one SGD step in each run.

        Args:
            lr: LR of each run, shape (B,), per step.

        Returns:
            The mini-batch losses before the step, shape (B,): what a training loop sees.
        """

    @abstractmethod
    def gradient_sq(self) -> Floats:
        """Return the squared norm of the (noisy) gradient that the last step used, shape (B,)."""

    @abstractmethod
    def weights(self) -> Weights:
        """Return the weights of each run, shape (B, P); read at decisions."""

    @abstractmethod
    def gradients(self) -> Weights:
        """Return the (noisy) gradients that the last steps used, shape (B, P), in the order of the weights."""

    def depart(self, slots: NDArray[np.bool_] | None = None) -> None:
        """Follow the weights from here on, for `motion`.

        Args:
            slots: Shape (B,), true for the runs that begin anew; None for all.
        """
        self._travel.start(self.weights(), slots)

    def motion(self) -> Motion:
        """Return how the weights moved since the last call, each (B,): see `Travel.move`; at decisions."""
        return self._travel.move(self.weights(), self.gradients())

    @cached_property
    def _travel(self) -> Travel:
        return Travel()

    @abstractmethod
    def reference(self) -> Floats:
        """Return the LR that actions are multiples of, shape (B,): the stability bound, or the base LR."""

    @abstractmethod
    def objective(self) -> Floats:
        """Return what the runs are judged by, shape (B,), positive: the full loss. Never observed."""

    @abstractmethod
    def hidden(self) -> Floats:
        """Return what no training loop knows but helps to predict a return, shape (B, hidden_size), dimensionless.

        Only the critic sees it, and only in training.
        """

    def arenas(self) -> Sequence[AbstractArena]:
        """Return the runs, in order, in parts whose parameters any method may move; B in all."""
        raise NotImplementedError(f"{type(self).__name__} can't be handed over to other methods")

    def _marked(self, slots: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Which runs begin anew, shape (B,): all of them, if none are named."""
        return np.ones(self.batch_size, dtype=np.bool_) if slots is None else slots
