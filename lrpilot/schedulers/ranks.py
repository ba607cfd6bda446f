"""The ranks of `torch.distributed`, which must decide alike."""

from collections.abc import Sequence

import torch
from torch import distributed

AVAILABLE = distributed.is_available()


def many_ranks() -> bool:
    """Whether this process is one of several ranks of `torch.distributed`."""
    return AVAILABLE and distributed.is_initialized() and distributed.get_world_size() > 1


def sum_over_ranks(table: Sequence[Sequence[float]]) -> list[list[float]]:
    """Sum a table of numbers over all ranks, entry by entry, in one collective: all ranks must call it alike.

    Args:
        table: Rows of one length, the same shape on all ranks.

    Returns:
        The sums, of that shape, the same to the last bit on all ranks.
    """
    device = "cpu" if "gloo" in distributed.get_backend() else torch.accelerator.current_accelerator()
    numbers = torch.tensor(table, dtype=torch.float64, device=device)
    distributed.all_reduce(numbers)
    return numbers.tolist()
