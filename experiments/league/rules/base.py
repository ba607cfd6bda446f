"""The interface of methods that move the parameters of many runs themselves."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from lrpilot.envs.tasks.optimizers import AbstractOptimizer
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess

FORWARD = 1 / 3  # of a gradient evaluation: a forward pass alone costs about a third of forward and backward


class AbstractRule(ABC):
    """One method on the B runs of one access, from its start to the end of the run.

    Args:
        access: At its start.

    Attributes:
        access: The runs.
        passes: Gradient evaluations made so far for each run; a forward pass alone counts as `FORWARD`.
        lr: LR of the last step, shape (B,), per step; the mean over parameters where they have LRs of their own,
            NaN before the first step and where a method has none.
    """

    def __init__(self, access: AbstractParameterAccess) -> None:
        self.access = access
        self.passes = 0.0
        self.lr = torch.full((len(access.parameters),), torch.nan)

    @abstractmethod
    def step(self, base_lr: Tensor) -> Tensor:
        """Draw a mini-batch and make one step.

        Args:
            base_lr: The LR that the user gives, shape (B,), per step; an outer schedule may have changed it.

        Returns:
            The losses of the mini-batch before the step, shape (B,).
        """

    def shown(self) -> Tensor:
        """Return the parameters that the method would hand to its user now, shape (B, P)."""
        return self.access.parameters

    def draw(self) -> tuple[Tensor, Tensor]:
        """Draw a mini-batch and count the pass; see `AbstractArena.draw`."""
        self.passes += 1
        return self.access.draw()

    def move(self, direction: Tensor, lr: Tensor) -> None:
        """Subtract `lr` times the direction, where a bound exists no more than it allows, and note the LR.

        Args:
            direction: Shape (B, P), per unit of LR.
            lr: Shape (B,) or, for every parameter its own, (B, P), per step.
        """
        parameters = self.access.parameters
        bound = self.access.largest_lr().to(parameters.dtype)[:, None]
        each = torch.minimum(lr.to(parameters.dtype).reshape(len(parameters), -1), bound)
        self.access.place(parameters - each * direction)
        self.lr = each.mean(1)


def drop_momentum(optimizer: AbstractOptimizer) -> None:
    """Set the momentum of an optimizer to 0, in place, so that its direction follows the gradient of the moment."""
    optimizer.momentum.zero_()
