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

    def arranged(self, samples: Samples, replicas: int = 1) -> Samples:
        """Return samples of G problems as `losses` reads them, channels first and samples last, for all replicas.

        Args:
            samples: Shapes (G, n, …).
            replicas: R, how many runs in a row share the samples of a problem.

        Returns:
            Inputs as `AbstractNetwork.forward` reads them, and targets (B, n), (B, T, n) or (B, values, n), B = G·R.
        """
        inputs, targets, symbols = samples.inputs, samples.targets, self.network.symbols
        if symbols:
            places = inputs.transpose(1, 2)[:, None]  # (G, 1, T, n)
            hot = torch.zeros(len(places), symbols, *places.shape[2:]).scatter_(1, places, 1.0)
        else:
            hot = inputs.movedim(1, -1).movedim(-2, 1) if inputs.ndim > 3 else inputs.transpose(1, 2)
        ready = self.network.prepare(hot.contiguous())
        if targets.ndim == 3:
            targets = targets.transpose(1, 2).contiguous()
        return Samples(ready, targets).repeated(replicas)

    def losses(self, parameters: Tensor, samples: Samples, weights: Tensor, unused: Tensor | None = None) -> Tensor:
        """Return the weighted mean loss of each run, shape (B,).

        Args:
            parameters: Shape (B, P).
            samples: A mini-batch of each run, as `arranged` returns them.
            weights: Of the samples, shape (B, n), of sum 1 in each run.
            unused: Added to the outputs, shape (B, C, 1): very negative for classes that a problem does not have.
        """
        outputs = self.network.forward(self.views(parameters), samples.inputs, weights[:, None])
        if unused is not None and unused.shape[1] > 1:
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
