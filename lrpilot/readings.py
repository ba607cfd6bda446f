"""What a torch training loop can read off its parameters, at a cost paid at decisions alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

SKETCH = 1024  # entries that are read of each tensor of weights


def gradient_sq(optimizer: Optimizer) -> float:
    """Return the squared norm of all gradients; NaN if there are none, or one is sparse.

    Args:
        optimizer: Its parameters' `.grad` are read.
    """
    gradients = [parameter.grad for parameter in _parameters(optimizer) if parameter.grad is not None]
    if not gradients or any(gradient.is_sparse for gradient in gradients):
        return math.nan
    return float(torch.nn.utils.get_total_norm(gradients)) ** 2


def weights(optimizer: Optimizer) -> NDArray[np.float32]:
    """Return a sketch of the weights: every k-th entry of each parameter, at most 1024 of each.

    Args:
        optimizer: Its parameters are read.

    Returns:
        All entries in one dimension, on the CPU.
    """
    parts = [_thinned(parameter.detach().reshape(-1)) for parameter in _parameters(optimizer)]
    devices = {part.device for part in parts}
    if len(devices) > 1:
        parts = [part.cpu() for part in parts]
    sketch: NDArray[np.float32] = torch.cat([part.float() for part in parts]).cpu().numpy()
    return sketch


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _thinned(flat: Tensor) -> Tensor:
    return flat if flat.numel() <= SKETCH else flat[:: -(-flat.numel() // SKETCH)]
