"""Stochastic Polyak step: the LR at which the tangent of the mini-batch's loss reaches its lower bound.

Loizou, Vaswani, Laradji and Lacoste-Julien 2021, arXiv 2002.10542: SPS_max; for adaptive methods Vaswani, Laradji,
Kunstner, Meng, Schmidt and Lacoste-Julien 2020, arXiv 2006.06835.
"""

from collections.abc import Callable
from functools import partial
from math import inf

import torch
from torch import Tensor

from lrpilot.experiments.league.parameter_access import AbstractParameterAccess
from lrpilot.experiments.league.parameter_access import direction as direction_of
from lrpilot.experiments.league.rules.base import AbstractRule, drop_momentum

SMOOTH = 2 ** (1 / 20)  # an LR may double in 20 steps


class Polyak(AbstractRule):
    """SPS_max along the direction of the problem's own optimizer without momentum.

    With f the loss of the mini-batch, whose lower bound is taken as f* = 0, g its gradient, d what the optimizer
    subtracts per unit of LR, its weight decay included, and η_max the base LR:

        η_t = min( f / (c · gᵀd), growth · η_{t−1}, η_max )

    For SGD without weight decay gᵀd = ‖g‖². Along a direction with gᵀd ≤ 0 no step is made.

    Args:
        access: At its start; its optimizer loses its momentum.
        c: Divides the step, positive; on ½w² with c = ½ a step ends at the minimum.
        growth: Smoothing: the most that the LR may grow in a step, as a factor > 1; γ^(b/n) in the paper. Infinity
            for none.
    """

    def __init__(self, access: AbstractParameterAccess, c: float = 0.5, growth: float = inf) -> None:
        super().__init__(access)
        drop_momentum(access.optimizer)
        self.c, self.growth = c, growth
        self.last = torch.full_like(access.parameters[:, 0], inf)  # the last LR above 0

    def step(self, base_lr: Tensor) -> Tensor:
        """Make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        direction = direction_of(self.access, gradient)
        slope = (gradient * direction).sum(1)
        ceiling = torch.minimum(self.growth * self.last, base_lr.to(slope.dtype))
        lr = torch.where(slope > 0, torch.minimum(losses / (self.c * slope), ceiling), 0)
        self.last = torch.where(lr > 0, lr, self.last)
        self.move(direction, lr)
        return losses


SHAPES: dict[str, Callable[[AbstractParameterAccess], AbstractRule]] = {
    "c 0.5": partial(Polyak, c=0.5),
    "c 1": partial(Polyak, c=1.0),
    "c 0.5, growing twofold in 20 steps": partial(Polyak, c=0.5, growth=SMOOTH),
}
