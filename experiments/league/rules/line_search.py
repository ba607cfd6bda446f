"""Stochastic line search: the first LR tried under which the loss of the drawn mini-batch falls enough.

Vaswani, Mishkin, Laradji, Schmidt, Gidel and Lacoste-Julien 2019, arXiv 1905.09997, for SGD; Vaswani, Laradji,
Kunstner, Meng, Schmidt and Lacoste-Julien 2020, arXiv 2006.06835, for adaptive methods.
"""

from collections.abc import Callable
from functools import partial
from math import inf

import torch
from torch import Tensor

from lrpilot.experiments.league.parameter_access import AbstractParameterAccess
from lrpilot.experiments.league.parameter_access import direction as direction_of
from lrpilot.experiments.league.rules.base import FORWARD, AbstractRule, drop_momentum


class LineSearch(AbstractRule):
    """Backtracking on the drawn mini-batch, along the direction of the problem's own optimizer without momentum.

    With g the gradient and d what the optimizer subtracts per unit of LR, its weight decay included, an LR η is
    accepted under Armijo's condition

        f(w − ηd) ≤ f(w) − c · η · gᵀd

    and shrunk otherwise. Along a direction with gᵀd ≤ 0 no step is made, nor where no LR tried is accepted. The
    search begins at the LR that the last one ended with times `growth`; never above the base LR, where the first one
    begins. The paper's ways to reset are a growth of 1, γ^(b/n) and infinity.

    Args:
        access: At its start; its optimizer loses its momentum.
        growth: How far above the last LR a search begins, as a factor ≥ 1.
        c: Share of the decrease along the tangent that is asked for, in (0, 1); 0.1 in the authors' code.
        shrink: Factor from one LR to the next, in (0, 1); 0.9 in the authors' code.
        most: LRs tried in one search, at most.
    """

    def __init__(
        self, access: AbstractParameterAccess, growth: float = 2.0, c: float = 0.1, shrink: float = 0.7, most: int = 20
    ) -> None:
        super().__init__(access)
        drop_momentum(access.optimizer)
        self.growth, self.c, self.shrink, self.most = growth, c, shrink, most
        self.last = torch.full_like(access.parameters[:, 0], inf)  # LR that the last search ended with

    def step(self, base_lr: Tensor) -> Tensor:
        """Make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        direction = direction_of(self.access, gradient)
        ceiling = torch.minimum(base_lr, self.access.largest_lr()).to(gradient.dtype)
        slope = (gradient * direction).sum(1)
        lr, accepted = self._search(losses, slope, direction, torch.minimum(self.growth * self.last, ceiling))
        self.last = torch.where(lr > 0, lr, self.last)
        self.move(direction, torch.where(accepted, lr, 0))
        return losses

    def _search(self, losses: Tensor, slope: Tensor, direction: Tensor, lr: Tensor) -> tuple[Tensor, Tensor]:
        """Return the LRs that the searches end with, and which of them are accepted, both of shape (B,)."""
        searching = (slope > 0) & (slope < inf)
        accepted = torch.zeros_like(searching)
        for _ in range(self.most):
            if not searching.any():
                break
            trial = self.access.loss_at(self.access.parameters - lr[:, None] * direction)
            self.passes += FORWARD * float(searching.double().mean())
            accepted |= searching & (trial <= losses - self.c * lr * slope)
            searching = searching & ~accepted
            lr = torch.where(searching, self.shrink * lr, lr)
        return lr, accepted


SHAPES: dict[str, Callable[[AbstractParameterAccess], AbstractRule]] = {
    "from twice the last LR": partial(LineSearch, growth=2.0),
    "growing twofold in 20 steps": partial(LineSearch, growth=2 ** (1 / 20)),
    "from the base LR": partial(LineSearch, growth=inf),
}
