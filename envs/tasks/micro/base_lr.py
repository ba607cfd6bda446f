"""A guess of the LR of micro networks, from the first gradient alone: what the errors of base LRs are relative to."""

import torch
from torch import Tensor

from lrpilot.envs.tasks.nets.right_lr import FIRST_STEP
from lrpilot.envs.tasks.optimizers import ADAMS, SIGN_LIKE

SIGN_STEP = 0.01  # LR of optimizers whose first step goes along the sign of the gradient
_RANGE = (1e-6, 1e4)  # of guesses: networks can begin dead, or explode at once


def guessed_lr(optimizer: str, norm: Tensor, momentum: Tensor) -> Tensor:
    """Return an LR to train with, roughly.

    SGD: 0.48/‖g‖ × (1 − momentum), where g is the first gradient; see `nets.right_lr`. Optimizers whose first step goes
    along the sign of the gradient: 0.01, for RMSprop × (1 − momentum). It is only a guess, and no sweep is behind it:
    the best LR of a run is often several times larger or smaller.

    Args:
        optimizer: A key of `OPTIMIZERS`.
        norm: ‖g‖ of each problem, as the optimizer sees it, shape (G,).
        momentum: Momentum of each problem, or β₁, shape (G,).

    Returns:
        Per step, shape (G,), float64, positive and finite.

    Example:
        >>> half = torch.full((1,), 0.5)
        >>> [round(float(guessed_lr(name, 2 * half, half)), 3) for name in ("sgd", "adamw", "rmsprop")]
        [0.24, 0.01, 0.005]
    """
    if optimizer in SIGN_LIKE:
        first = torch.full_like(norm, SIGN_STEP, dtype=torch.float64)
    else:
        first = FIRST_STEP / torch.nan_to_num(norm.double(), nan=torch.inf)
    return first.clamp(*_RANGE) * (1 if optimizer in ADAMS else 1 - momentum.double())
