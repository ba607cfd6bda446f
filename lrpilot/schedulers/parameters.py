"""What a torch training loop can read off its parameters, at a cost paid at decisions alone."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.optim import Optimizer

from lrpilot.displacement import UNKNOWN, DisplacementCosines
from lrpilot.schedulers import shards
from lrpilot.schedulers.ranks import many_ranks, sum_over_ranks
from lrpilot.states import StateError

SKETCH = 1024  # entries that are read of each tensor of weights


def gradient_sq(optimizer: Optimizer) -> float:
    """Return the squared norm of all gradients, those of shards held elsewhere included.

    Args:
        optimizer: Its parameters' `.grad` are read.

    Returns:
        NaN if there are none, or one is sparse.
    """
    gradients = [parameter.grad for parameter in _readable(optimizer) if parameter.grad is not None]
    if not gradients or any(gradient.is_sparse for gradient in gradients):
        return math.nan
    gradients = [g.float() if g.dtype == torch.float16 else g for g in gradients]  # whose squares would overflow
    if not any(map(shards.is_sharded, gradients)):
        return float(torch.nn.utils.get_total_norm(map(shards.own_part, gradients))) ** 2
    squares = [torch.linalg.vector_norm(shards.own_part(gradient)).square().reshape(1) for gradient in gradients]
    return float(sum(part.to("cpu", torch.float64).sum() for part in shards.summed(squares, gradients)))


def weights(optimizer: Optimizer) -> NDArray[np.float32]:
    """Return a sketch of the weights: every k-th entry of each parameter times √k, at most 1024 of each.

    So inner products of sketches estimate those of what they are of, whatever the sizes of the parameters. Nothing is
    copied but these entries. Where parameters are sharded, all ranks get the same, in a collective.

    Args:
        optimizer: Its parameters are read; those that have no values yet (lazy, or on the meta device) are left out.

    Returns:
        All entries in one dimension, on the CPU; a complex one counts as two.
    """
    readable = _readable(optimizer)
    return _sketch(readable, [parameter.detach() for parameter in readable])


def gradient(optimizer: Optimizer) -> NDArray[np.float32]:
    """Return the same of the gradients; zeros for parameters without one.

    Args:
        optimizer: Its parameters' `.grad` are read; none may be sparse.

    Returns:
        As long as the sketch of the weights.
    """
    readable = _readable(optimizer)
    return _sketch(readable, [parameter.grad for parameter in readable])


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


def arrays_of(tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """Return tensors of a state as arrays, from whatever device they were loaded to.

    Raises:
        ValueError: One is on the meta device, and has no values.
    """
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise StateError(f"state: {name} is on the meta device and has no values; load with map_location='cpu'")
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def _readable(optimizer: Optimizer) -> list[Tensor]:
    parameters = (parameter for group in optimizer.param_groups for parameter in group["params"])
    return [part for part in parameters if not (torch.nn.parameter.is_lazy(part) or part.is_meta)]


def _sketch(parameters: list[Tensor], values: Sequence[Tensor | None]) -> NDArray[np.float32]:
    if not parameters:
        return np.zeros(0, dtype=np.float32)
    apart = [max(1, -(-parameter.numel() // SKETCH)) for parameter in parameters]
    parts = [*map(_thinned, parameters, values, apart)]
    if any(map(shards.is_sharded, parameters)):
        parts = shards.summed(parts, parameters)
    if any(part.device != parts[0].device for part in parts):
        parts = [part.cpu() for part in parts]
    scales = np.sqrt(apart).astype(np.float32)
    return torch.cat(parts).cpu().numpy() * np.repeat(scales, [len(part) for part in parts])


def _thinned(parameter: Tensor, value: Tensor | None, apart: int) -> Tensor:
    """Every k-th entry of a tensor; of one that is not known zeros."""
    if value is None:
        count = -(-parameter.numel() // apart) * (2 if parameter.is_complex() else 1)
        return torch.zeros(count, device=parameter.device)
    own = shards.own_part(value)
    if own is not value and shards.is_sharded(value):
        picked = shards.entries(value, apart)
    elif own.is_contiguous():
        picked = own.view(-1)
        picked = picked if apart == 1 else picked[::apart]
    elif apart == 1:
        picked = own.reshape(-1)
    else:
        picked = own[torch.unravel_index(torch.arange(0, own.numel(), apart, device=own.device), own.shape)]
    picked = torch.view_as_real(picked.resolve_conj()).reshape(-1) if picked.is_complex() else picked
    return picked if picked.dtype == torch.float32 else picked.float()
