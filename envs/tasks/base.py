"""What a task offers to the decision process around it."""

from abc import ABC, abstractmethod
from copy import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrpilot.arrays import Floats, Weights
from lrpilot.displacement import DisplacementCosines, DisplacementTracker

TRIED = np.linspace(-5.0, 3.75, 8)  # natural logs of LRs, over the one that seems right, that are tried for guidance


class TriedLRs(NamedTuple):
    """What each of the LRs `TRIED` would end with, n of them, in the runs of B others.

    Attributes:
        base: Log of each run's base LR over the one that seems right, shape (B,).
        costs: Log of the final objective over that at the start, minus that of the best one, shape (B, n).
    """

    base: Floats
    costs: Floats


LEAST_RATIO, LARGEST_RATIO = 3e-3, 10.0  # of objectives, beyond which one is as good or bad as another


def tried_costs(objective: Floats, initial: Floats, replicas: int) -> Floats:
    """Return what each of the LRs `TRIED` costs in G problems; see `TriedLRs`.

    Args:
        objective: At the end of a run with each LR, shape (G·n,), those of a problem after each other.
        initial: At their start, shape (G·n,).
        replicas: R, how many successive runs each problem has.

    Returns:
        Shape (G·R, n).
    """
    ratio = np.nan_to_num(objective / initial, nan=np.inf)
    ended = np.log(ratio.clip(LEAST_RATIO, LARGEST_RATIO)).reshape(-1, len(TRIED))
    costs: Floats = (ended - ended.min(1, keepdims=True)).repeat(replicas, 0)
    return costs


class AbstractTask(ABC):
    """B training runs side by side, each with its own data, initialisation and noise.

    Attributes:
        batch_size: B, the number of runs.
        hidden_size: Entries of `hidden` a run.
        reference_name: What `reference` returns: "bound" or "base_lr".
    """

    batch_size: int
    hidden_size: int
    reference_name: str = "bound"

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

    def start_tracking(self, slots: NDArray[np.bool_]) -> None:
        """Track the weights from here on, for `displacement_cosines`.

        Args:
            slots: Shape (B,), true for the runs that begin anew.
        """
        self._tracker.start(self.weights(), slots)

    def displacement_cosines(self) -> DisplacementCosines:
        """Return how the weights moved since the last call, each (B,); see `DisplacementTracker.move`."""
        return self._tracker.move(self.weights(), self.gradients())

    @cached_property
    def _tracker(self) -> DisplacementTracker:
        return DisplacementTracker()

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

    def test_loss(self) -> Floats:
        """Return what final scores are taken of, shape (B,), positive: the loss on test samples, if there are any."""
        return self.objective()

    def tried_lrs(self, horizon: int) -> "TriedLRs":
        """Return what constant multiples of a linear decay to zero would end with: what only a teacher knows.

        Args:
            horizon: SGD steps of the runs that are made for it, from the start of the present ones.

        Raises:
            ValueError: The task can't tell.
        """
        raise ValueError(f"{type(self).__name__} can't try LRs beforehand: set ppo.guidance to 0")

    def set_lr_error(self, error: Floats) -> None:  # noqa: B027 (a bound is never wrong)
        """Set how wrong the base LRs are, until the next reset; nothing where the reference is a bound.

        Args:
            error: Base LR over the LR that seems right, shape (B,).
        """

    def _marked(self, slots: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Which runs begin anew, shape (B,): all of them, if none are named."""
        return np.ones(self.batch_size, dtype=np.bool_) if slots is None else slots


class AbstractBatchTask(AbstractTask):
    """Problems that are drawn and computed together, in tensors: each run is a replica of one of them.

    Args:
        problems: The distribution that problems are drawn from.
        batch_size: B, how many run side by side.
        replicas: How many successive runs share all but the LR; divides `batch_size`.
    """

    def __init__(self, problems: Any, batch_size: int, replicas: int) -> None:
        self.problems, self.batch_size, self.replicas = problems, batch_size, replicas
        self._noise_rng = torch.Generator()

    @abstractmethod
    def _draw(self, count: int, rng: np.random.Generator) -> Any:
        """Draw so many problems."""

    @abstractmethod
    def _start(self, batch: Any) -> None:
        """Begin what `_draw` returned, each problem with all of its replicas: set tensors, by problem or by run."""

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems; see `AbstractTask.reset`."""
        slots = self._marked(slots)
        if slots.all():
            batch = self._draw(self.batch_size // self.replicas, rng)
            self._noise_rng.manual_seed(int(rng.integers(2**62)))
            self._start(batch)
        else:
            fresh = copy(self)
            fresh.replicas, fresh._noise_rng = 1, torch.Generator()
            fresh._start(self._draw(int(slots.sum()), rng))
            for name, value in vars(fresh).items():
                if isinstance(value, Tensor):
                    getattr(self, name)[torch.from_numpy(slots)] = value
