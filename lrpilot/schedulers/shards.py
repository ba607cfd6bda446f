"""Parameters of which each rank holds a part: what is read of them is the same on all ranks, and as of the whole."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor, distributed


def own_part(tensor: Tensor) -> Tensor:
    """Return the part of a distributed tensor that is held here; other tensors whole."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def is_sharded(tensor: Any) -> bool:
    """Whether ranks hold different parts of it, along even cuts, so that it is known which."""
    return hasattr(tensor, "to_local") and bool(_cuts(tensor)) and _box_shape(tensor) == tensor.to_local().shape


def entries(tensor: Any, apart: int) -> Tensor:
    """Return every k-th entry of a sharded tensor, as if it were whole and flat; zeros for those held elsewhere.

    Args:
        tensor: Sharded.
        apart: k.

    Returns:
        Shape (⌈N / k⌉,), N the entries of the whole.
    """
    own = tensor.to_local()
    index = torch.arange(0, tensor.numel(), apart, device=own.device)
    places = torch.unravel_index(index, tensor.shape)
    inside = [(place >= start) & (place < stop) for place, (start, stop) in zip(places, _box(tensor), strict=True)]
    here = reduce(torch.logical_and, inside)
    picked = own.new_zeros(len(index))
    picked[here] = own[tuple(place[here] - start for place, (start, _) in zip(places, _box(tensor), strict=True))]
    return picked


def summed(parts: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Sum what was read of sharded tensors over the ranks that share each; a collective or two.

    Args:
        parts: What was read here of each tensor, each of one dimension.
        tensors: The tensors; what was read of those that are not sharded stays as it is.
    """
    out = list(parts)
    for mesh, dims in dict.fromkeys(_shared_by(tensor) for tensor in tensors if is_sharded(tensor)):
        mine = [i for i, tensor in enumerate(tensors) if is_sharded(tensor) and _shared_by(tensor) == (mesh, dims)]
        packed = torch.cat([out[i] for i in mine])
        for dim in dims:
            distributed.all_reduce(packed, group=mesh.get_group(dim))
        for i, part in zip(mine, torch.split(packed, [len(out[i]) for i in mine]), strict=True):
            out[i] = part
    return out


def _shared_by(tensor: Any) -> tuple[Any, tuple[int, ...]]:
    """The mesh, and those of its dimensions along which the tensor is cut."""
    return tensor.device_mesh, tuple(_cuts(tensor))


def _cuts(tensor: Any) -> dict[int, int]:
    """Dimension of the mesh -> dimension of the tensor that is cut along it."""
    return {mesh_dim: place.dim for mesh_dim, place in enumerate(tensor.placements) if place.is_shard()}


def _box(tensor: Any) -> list[tuple[int, int]]:
    """First index and the one after the last that is held here, of each dimension."""
    box = [(0, size) for size in tensor.shape]
    for mesh_dim, dim in _cuts(tensor).items():
        start, stop = box[dim]
        each = -(-(stop - start) // tensor.device_mesh.size(mesh_dim))
        first = min(start + each * tensor.device_mesh.get_local_rank(mesh_dim), stop)
        box[dim] = first, min(first + each, stop)
    return box


def _box_shape(tensor: Any) -> tuple[int, ...]:
    return tuple(stop - start for start, stop in _box(tensor))
