"""CDAT as a rule: the LR from slope and curvature of the mini-batch's loss along the next update.

Roulet, Agarwala, Grill, Swirszcz, Blondel and Pedregosa 2024, arXiv 2407.06183; the formula is `theory.cdat`.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.linalg import vector_norm

from lrpilot.experiments.league.parameter_access import AbstractParameterAccess
from lrpilot.experiments.league.parameter_access import direction as direction_of
from lrpilot.experiments.league.rules.base import AbstractRule
from lrpilot.theory.cdat import cdat_lr


class CDAT(AbstractRule):
    """Curvature dynamics aware tuning of the problem's own optimizer, with its momentum.

    With u the update of the optimizer per unit of LR, g the gradient and H the Hessian of the mini-batch's loss:

        η_t = σ · n_t / d_t,    n_t = β n_{t−1} + (1 − β) max(−gᵀu, 0),    d_t = β d_{t−1} + (1 − β) |uᵀHu|

    from n_0 = d_0 = 0. There is no base LR in the method, and the one given is ignored. A step costs two gradient
    evaluations.

    Args:
        access: At its start.
        scale: σ, 1 for the greedy step, 2 for the edge.
        decay: β, in [0, 1).
    """

    def __init__(self, access: AbstractParameterAccess, scale: float = 2.0, decay: float = 0.9) -> None:
        super().__init__(access)
        self.scale, self.decay = scale, decay
        self.slope = torch.zeros_like(access.parameters[:, 0])  # −n, shape (B,)
        self.curvature = self.slope.clone()  # d, shape (B,)

    def step(self, base_lr: Tensor) -> Tensor:
        """Make one step; see `AbstractRule.step`."""
        losses, gradient = self.draw()
        update = -direction_of(self.access, gradient)
        slope, curvature = (gradient * update).sum(1), curvature_along(self.access, gradient, update)
        self.passes += 1
        self.slope = self.decay * self.slope + (1 - self.decay) * slope.clamp_max(0)
        self.curvature = self.decay * self.curvature + (1 - self.decay) * curvature.abs()
        least = torch.finfo(slope.dtype).tiny  # 0/0 is 0
        self.move(-update, cdat_lr(self.slope, self.curvature, self.scale, least))
        return losses


def curvature_along(access: AbstractParameterAccess, gradient: Tensor, update: Tensor) -> Tensor:
    """Estimate uᵀHu of the drawn mini-batch from one more gradient, at w + εu.

    ε makes the way √(machine epsilon) / 10 · (1 + the root mean square of w) long. On a longer way the activations of
    networks cross their kinks and third derivatives count; on a shorter one rounding does.

    Args:
        access: Whose mini-batch was drawn.
        gradient: At the parameters, shape (B, P).
        update: u, shape (B, P).

    Returns:
        Shape (B,), in units of loss over LR².
    """
    info = torch.finfo(update.dtype)
    reach = 0.1 * info.eps**0.5 * (1 + access.parameters.square().mean(1).sqrt())
    share: Tensor = (reach / vector_norm(update, dim=1).clamp_min(info.tiny))[:, None]
    change = access.gradient_at(access.parameters + share * update) - gradient
    return (change * update / share).sum(1)


SHAPES: dict[str, Callable[[AbstractParameterAccess], AbstractRule]] = {
    "sigma 0.5": partial(CDAT, scale=0.5),
    "sigma 1": partial(CDAT, scale=1.0),
    "sigma 2": partial(CDAT, scale=2.0),
}
