"""Hypergradient descent: an LR that rises while gradients agree with the last update, and falls when they oppose it.

Baydin, Cornish, Martínez Rubio, Schmidt and Wood 2018, arXiv 1703.04782: SGD-HD, SGDN-HD and Adam-HD are this rule on
SGD, on SGD with Nesterov momentum, and on Adam. Here is their multiplicative form.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.linalg import vector_norm

from lrpilot.experiments.league.parameter_access import AbstractParameterAccess
from lrpilot.experiments.league.parameter_access import direction as direction_of
from lrpilot.experiments.league.rules.base import AbstractRule

Per = Literal["run", "block", "parameter"]


class Hypergradient(AbstractRule):
    """The problem's own optimizer with an LR that learns along.

    With g_t the gradient of the mini-batch, and d_t what the optimizer subtracts per unit of LR:

        α_t = α_{t−1} · (1 + β · ⟨g_t, d_{t−1}⟩ / (‖g_t‖ ‖d_{t−1}‖)),    w_{t+1} = w_t − α_t d_t

    −⟨g_t, d_{t−1}⟩ is the derivative of the mini-batch loss by the LR of the step before. Where either vector is 0
    the LR stays. For a single parameter the cosine is the sign of the product.

    The base LR of the first step is α_0; later ones are ignored.

    Args:
        access: At its start.
        beta: β, relative change of an LR in one step at most, in [0, 1).
        per: Who has an LR of its own: the run, each tensor of the network, or each parameter.
    """

    def __init__(self, access: AbstractParameterAccess, beta: float = 0.02, per: Per = "run") -> None:
        super().__init__(access)
        self.beta, self.per = beta, per
        self.sizes = access.blocks if per == "block" else [access.parameters.shape[1]]
        self.rates = torch.empty(0)  # (B, K), one for each of K groups of parameters
        self.direction = torch.zeros_like(access.parameters)  # of the last step

    def step(self, base_lr: Tensor) -> Tensor:
        """Make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        cosine = self._cosines(gradient)
        if not len(self.rates):
            self.rates = base_lr.to(gradient.dtype)[:, None].expand_as(cosine)
        self.rates = self.rates * (1 + self.beta * cosine)
        self.direction = direction_of(self.access, gradient)
        self.move(self.direction, self._spread(self.rates))
        return losses

    def _cosines(self, gradient: Tensor) -> Tensor:
        """Of the angles between gradient and last direction, one for each group of parameters: (B, P) -> (B, K)."""
        if self.per == "parameter":
            return gradient.sign() * self.direction.sign()
        parts = zip(torch.split(gradient, self.sizes, 1), torch.split(self.direction, self.sizes, 1), strict=True)
        return torch.stack([_cosine(mine, last) for mine, last in parts], 1)

    def _spread(self, rates: Tensor) -> Tensor:
        """Hand each parameter the LR of its group: (B, K) -> (B, P)."""
        return rates if self.per == "parameter" else rates.repeat_interleave(torch.tensor(self.sizes), 1)


def _cosine(left: Tensor, right: Tensor) -> Tensor:
    """Of the angle between two vectors, 0 if one of them is: (B, n) and (B, n) -> (B,)."""
    lengths: Tensor = vector_norm(left, dim=1) * vector_norm(right, dim=1)
    return ((left * right).sum(1) / lengths.clamp_min(torch.finfo(left.dtype).tiny)).clamp(-1, 1)


def shapes(per: Per) -> dict[str, Callable[[AbstractParameterAccess], AbstractRule]]:
    """Return the choices of β that are tuned over."""
    return {f"beta {beta}": partial(Hypergradient, beta=beta, per=per) for beta in (0.1, 0.02, 0.3)}
