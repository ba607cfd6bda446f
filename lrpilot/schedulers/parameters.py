"""What a torch training loop can read off its parameters, at a cost paid at decisions alone."""

import math
from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from lrpilot.displacement import UNKNOWN, DisplacementCosines
from lrpilot.schedulers.ranks import many_ranks, sum_over_ranks

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
    """Return a sketch of the weights held here: every k-th entry of each parameter times √k, at most 1024 of each.

    So inner products of sketches estimate those of what they are of, whatever the sizes of the parameters.

    Args:
        optimizer: Its parameters are read.

    Returns:
        All entries in one dimension, on the CPU.
    """
    return _sketch(_own_part(parameter.detach()) for parameter in _parameters(optimizer))


def gradient(optimizer: Optimizer) -> NDArray[np.float32]:
    """Return the same of the gradients; zeros for parameters without one.

    Args:
        optimizer: Its parameters' `.grad` are read; none may be sparse.

    Returns:
        As long as the sketch of the weights.
    """
    return _sketch(map(_own_gradient, _parameters(optimizer)))


def agreed(gradient_sq: float, cosines: DisplacementCosines) -> tuple[float, DisplacementCosines]:
    """Return the mean of what ranks read, so that all decide alike; a collective, if there are several.

    Args:
        gradient_sq: Squared norm of the gradients here; NaN: there are none, and this rank does not count.
        cosines: How the sketch of the weights here moved: see `DisplacementTracker.move`.

    Returns:
        Both, the same on all ranks; NaN and zeros where no rank has gradients.
    """
    if not many_ranks():
        return gradient_sq, cosines
    row = [gradient_sq, *cosines, 1.0] if math.isfinite(gradient_sq) else [0.0] * (len(cosines) + 2)
    *sums, count = sum_over_ranks([row])[0]
    if not count:
        return math.nan, UNKNOWN
    gradient_sq, *moved = (total / count for total in sums)
    return gradient_sq, DisplacementCosines(*moved)


def _own_part(tensor: Tensor) -> Tensor:
    """The shard of a distributed tensor that is held here; other tensors whole."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def _own_gradient(parameter: Tensor) -> Tensor:
    """The same of its gradient; zeros that take no memory if it has none."""
    own = _own_part(parameter.detach())
    return own.new_zeros(()).expand(own.shape) if parameter.grad is None else _own_part(parameter.grad)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _sketch(tensors: Iterable[Tensor]) -> NDArray[np.float32]:
    parts = [_thinned(tensor.reshape(-1)) for tensor in tensors]
    devices = {part.device for part in parts}
    if len(devices) > 1:
        parts = [part.cpu() for part in parts]
    return torch.cat(parts).cpu().numpy()


def _thinned(flat: Tensor) -> Tensor:
    apart = max(1, -(-flat.numel() // SKETCH))
    return flat[::apart].float() * math.sqrt(apart)
