"""Losses and gradients of B runs of one network: all parameters in one tensor, all products batched."""

from math import prod

import torch
from torch import Tensor

from lrpilot.envs.tasks.micro.layers import Views
from lrpilot.envs.tasks.micro.losses import LOSSES
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.samples import Samples


class BatchedModel:
    """A network and its loss, for any number of runs.

    Args:
        network: Structure of all runs.
        loss: A key of `LOSSES`.
    """

    def __init__(self, network: AbstractNetwork, loss: str) -> None:
        self.network, self.loss = network, LOSSES[loss]
        self._names = [entry.name for entry in network.parameters]
        self._shapes = [entry.shape for entry in network.parameters]
        self._blocks = [prod(shape) for shape in self._shapes]

    def views(self, parameters: Tensor) -> Views:
        """Return flat parameters (B, P) by name, each as a view of shape (B, *shape)."""
        parts = zip(self._names, torch.split(parameters, self._blocks, 1), self._shapes, strict=True)
        return {name: part.view(len(part), *shape) for name, part, shape in parts}

    def losses(self, parameters: Tensor, samples: Samples, weights: Tensor, unused: Tensor | None = None) -> Tensor:
        """Return the weighted mean loss of each run, shape (B,).

        Args:
            parameters: Shape (B, P).
            samples: A mini-batch of each run, shapes (B, n, …).
            weights: Of the samples, shape (B, n), of sum 1 in each run.
            unused: Added to the outputs, shape (B, 1, C): very negative for classes that a problem does not have.
        """
        outputs = self.network.forward(self.views(parameters), samples.inputs, weights[:, None])
        if unused is not None:
            outputs = outputs + unused
        return (self.loss(outputs, samples.targets) * weights).sum(1)

    @torch.enable_grad()
    def gradients(
        self, parameters: Tensor, samples: Samples, weights: Tensor, unused: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return losses (B,) and their gradients (B, P); arguments as in `losses`."""
        leaf = parameters.detach().requires_grad_()
        losses = self.losses(leaf, samples, weights, unused)
        return losses.detach(), torch.autograd.grad(losses.sum(), leaf)[0]
