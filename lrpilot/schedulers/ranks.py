"""The ranks of `torch.distributed`, which must decide alike."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed

AVAILABLE = distributed.is_available()
OUTSTANDING = 256  # sums that may be on their way at once


def many_ranks() -> bool:
    """Whether this process is one of several ranks of `torch.distributed`."""
    return AVAILABLE and distributed.is_initialized() and distributed.get_world_size() > 1


def _device() -> str | torch.device | None:
    return "cpu" if "gloo" in distributed.get_backend() else torch.accelerator.current_accelerator()


def sum_over_ranks(table: Sequence[Sequence[float]]) -> list[list[float]]:
    """Sum a table of numbers over all ranks, entry by entry, in one collective: all ranks must call it alike.

    Args:
        table: Rows of one length, the same shape on all ranks.

    Returns:
        The sums, of that shape, the same to the last bit on all ranks.
    """
    numbers = torch.tensor(table, dtype=torch.float64, device=_device())
    distributed.all_reduce(numbers)
    return numbers.tolist()


def check_same(name: str, value: int) -> None:
    """Make sure that an argument is the same on all ranks; a collective, if there are several.

    Args:
        name: Of the argument, for the message.
        value: What it is here.

    Raises:
        ValueError: It is another one on another rank.
    """
    if not many_ranks():
        return
    own = torch.zeros(distributed.get_world_size(), dtype=torch.float64, device=_device())
    own[distributed.get_rank()] = value
    distributed.all_reduce(own)
    values = [int(each) for each in own.tolist()]
    if len({*values}) > 1:
        listed = ", ".join(f"{each} on rank {rank}" for rank, each in enumerate(values[:8]))
        raise ValueError(f"{name} must be the same on all ranks, since they decide together, not {listed}")


class SumsOverRanks:
    """Sums over the ranks, each begun at once and read later."""

    def __init__(self) -> None:
        self._device = _device()
        self._on_their_way: list[tuple[distributed.Work | None, Tensor]] = []
        self._there: list[Tensor] = []

    def add(self, total: float, count: int, parts: Sequence[Tensor]) -> None:
        """Begin the sum of one step's losses, and of their number.

        Args:
            total: Sum of the losses that are known here.
            count: How many there are here, the others included.
            parts: The others, each of shape (1,).
        """
        row = torch.tensor([total, count], dtype=torch.float64, device=self._device)
        if parts:
            row[0] += torch.cat(list(parts)).sum().to(row)
        self._on_their_way.append((distributed.all_reduce(row, async_op=True), row))
        if len(self._on_their_way) == OUTSTANDING:
            self._arrive()

    def take(self) -> list[list[float]]:
        """Return sum and number of each step so far, the same on all ranks, and forget them."""
        self._arrive()
        rows, self._there = self._there, []
        return torch.cat(rows).tolist() if rows else []

    def _arrive(self) -> None:
        for work, _ in self._on_their_way:
            if work is not None:
                work.wait()
        if self._on_their_way:
            self._there.append(torch.stack([row for _, row in self._on_their_way]))
        self._on_their_way = []
