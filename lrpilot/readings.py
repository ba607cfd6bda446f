"""What a torch training loop can read off its parameters, at a cost paid at decisions alone."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from lrpilot.ranks import many_ranks, sum_over_ranks
from lrpilot.travel import UNKNOWN, Motion

SKETCH = 1024  # entries that are read of each tensor of weights


def gradient_sq(optimizer: Optimizer) -> float:
    """Return the squared norm of all gradients; NaN if there are none, or one is sparse. Of shards, of those held here.

    Args:
        optimizer: Its parameters' `.grad` are read.
    """
    gradients = [_own_part(parameter.grad) for parameter in _parameters(optimizer) if parameter.grad is not None]
    if not gradients or any(gradient.is_sparse for gradient in gradients):
        return math.nan
    return float(torch.nn.utils.get_total_norm(gradients)) ** 2


def weights(optimizer: Optimizer) -> NDArray[np.float32]:
    """Return a sketch of the weights held here: every k-th entry of each parameter, at most 1024 of each.

    Args:
        optimizer: Its parameters are read.

    Returns:
        All entries in one dimension, on the CPU.
    """
    parts = [_thinned(_own_part(parameter.detach()).reshape(-1)) for parameter in _parameters(optimizer)]
    devices = {part.device for part in parts}
    if len(devices) > 1:
        parts = [part.cpu() for part in parts]
    sketch: NDArray[np.float32] = torch.cat([part.float() for part in parts]).cpu().numpy()
    return sketch


def agreed(optimizer: Optimizer, gradient_sq: float, motion: Motion) -> tuple[float, Motion]:
    """Return the mean of what ranks read, so that all decide alike; a collective, if there are several.

    Args:
        optimizer: Its parameters are counted: all of them moved as far, on average, as those in the sketch.
        gradient_sq: Squared norm of the gradients here; NaN: there are none, and this rank does not count.
        motion: How the sketch of the weights here moved: see `Travel.move`.

    Returns:
        Both, the same on all ranks; NaN and zeros where no rank has gradients.
    """
    motion = motion._replace(length=motion.length * math.sqrt(_entries_for_each_read(optimizer)))
    if not many_ranks():
        return gradient_sq, motion
    row = [gradient_sq, *motion, 1.0] if math.isfinite(gradient_sq) else [0.0] * (len(motion) + 2)
    *sums, count = sum_over_ranks([row])[0]
    if not count:
        return math.nan, UNKNOWN
    gradient_sq, *moved = (total / count for total in sums)
    return gradient_sq, Motion(*moved)


def _own_part(tensor: Tensor) -> Tensor:
    """The shard of a distributed tensor that is held here; other tensors whole."""
    shard: Tensor = tensor.to_local() if hasattr(tensor, "to_local") else tensor
    return shard


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _entries_for_each_read(optimizer: Optimizer) -> float:
    """All weights held here over those that `weights` reads."""
    sizes = [_own_part(parameter.detach()).numel() for parameter in _parameters(optimizer)]
    read = sum(len(range(0, size, _apart(size))) for size in sizes)
    return sum(sizes) / max(read, 1)


def _thinned(flat: Tensor) -> Tensor:
    return flat[:: _apart(flat.numel())]


def _apart(size: int) -> int:
    """How far apart the entries are that are read of a tensor of so many."""
    return max(1, -(-size // SKETCH))
