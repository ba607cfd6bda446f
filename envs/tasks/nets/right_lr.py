"""A cheap guess of the base LR that suits a network, from its initial weights: what errors are relative to."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import grad_and_value, vmap

from lrpilot.envs.tasks.optimizers import SIGN_LIKE

FIRST_STEP = 0.48  # length of the first step of SGD at the LR that is best for 200 steps: the median of a sweep
OF_LARGEST = 1 / 16  # the same for AdamW: best LR over the largest first step that does not raise the loss
_TRIED = 2.0 ** torch.arange(-20, 8)

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def right_lr(loss: Loss, start: Tensor, inputs: Tensor, targets: Tensor, optimizer: str) -> float:
    """Return an LR to train with, the median over G problems of the same structure.

    SGD without momentum: 0.48/‖g‖, g the gradient of a mini-batch at the start. AdamW, whose first step is η·sign(g):
    a sixteenth of the largest power of two η that does not raise the loss of that mini-batch. Both constants are
    fitted to sweeps of a schedule that falls linearly to zero in 200 steps, on 136 groups. In these the best LR is
    within a factor of 4 of the guess in 72 % of the cases for SGD and 81 % for AdamW, of 8 in 89 % and 93 %.

    Args:
        loss: Of one network: parameters (P,), inputs (n, …) and targets (n, …) to a scalar.
        start: Initial parameters, shape (G, P).
        inputs: Shape (G, n, …).
        targets: Shape (G, n, …).
        optimizer: A key of `OPTIMIZERS`.

    Returns:
        LR per step, positive and finite; for SGD to be multiplied by 1 − momentum.

    Example:
        For 2w² from w = 1 the gradient is 4, and a step of at most 2 along its sign does not raise the loss:

        >>> problem = (lambda w, x, y: 2 * w @ w, torch.ones(1, 1), torch.zeros(1, 1), torch.zeros(1, 1))
        >>> right_lr(*problem, "sgd"), right_lr(*problem, "adamw")
        (0.12, 0.125)
    """
    gradient, before = vmap(grad_and_value(loss))(start, inputs, targets)
    if optimizer not in SIGN_LIKE:
        return FIRST_STEP / max(float(gradient.norm(dim=1).median()), 1e-6)
    largest = torch.full_like(before, float(_TRIED[0]))
    for size in _TRIED:
        after = vmap(loss)(start - size * gradient.sign(), inputs, targets)
        largest = torch.where(after <= before, size, largest)
    return float(OF_LARGEST * largest.median())
