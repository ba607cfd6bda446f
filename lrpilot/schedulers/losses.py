"""Losses on their way to a schedule: left where they are until a decision, and alike on all ranks after."""

from itertools import pairwise
from typing import SupportsFloat

import torch
from torch import Tensor

from lrpilot.schedulers.ranks import many_ranks, sum_over_ranks

PACKED = 256  # losses on an accelerator that are put into one tensor, which needs no synchronisation


class Losses:
    """What was observed and not handed over yet, step by step.

    A loss on an accelerator stays there until a decision, when all of them are read in one transfer. Under
    `torch.distributed` losses wait for a decision, too, and are averaged over the ranks, in one collective, so that all
    ranks decide alike. Other losses are handed over with their step.
    """

    def __init__(self) -> None:
        self._numbers: list[float] = []  # losses that are known
        self._waiting: list[Tensor] = []  # later ones, still on their device, each of shape (n,)
        self._held = 0  # how many these are
        self._ends: list[int] = []  # how many there were of both at the end of each step
        self._alone: bool | None = None  # whether there is no other rank; known at the first step

    def add(self, loss: SupportsFloat) -> None:
        """Take in one loss.

        Args:
            loss: A number, or a tensor with one element on any device.

        Raises:
            ValueError: A tensor with more than one element.
        """
        if type(loss) is not float and isinstance(loss, Tensor):  # the first is ten times faster
            if loss.numel() != 1:
                raise ValueError(f"the loss must have one element, not shape {tuple(loss.shape)}")
            if not loss.is_cpu:
                self._wait(loss)
                return
            loss = loss.item()
        if self._waiting:
            self._read()  # from here and from there: keep their order
        self._numbers.append(loss if type(loss) is float else float(loss))

    def _wait(self, loss: Tensor) -> None:
        self._waiting.append(
            loss.detach().reshape(1).clone()
        )  # a copy: a captured graph writes to the same place again
        self._held += 1
        if len(self._waiting) % PACKED == 0:
            self._waiting[-PACKED:] = [torch.cat(self._waiting[-PACKED:])]

    def end_step(self, decides: bool) -> list[float]:
        """End a step, and hand over what is at hand.

        Args:
            decides: Whether a decision follows, so that all losses are wanted. Under `torch.distributed` this is then
                a collective: all ranks must call it at the same step, and get the same.

        Returns:
            The mean loss of each step in which any rank observed a loss, since the last that was handed over; NaN or
            infinite where one of them was.
        """
        if self._alone is None:
            self._alone = not many_ranks()
        numbers, alone = self._numbers, self._alone
        if alone and len(numbers) == 1 and not (self._ends or self._held):  # as in most loops: nothing waits
            self._numbers = []
            return numbers
        self._ends.append(len(numbers) + self._held)
        return self._take() if decides or (alone and not self._held) else []

    def _take(self) -> list[float]:
        self._read()
        numbers, ends = self._numbers, self._ends
        self.clear()
        alone = not many_ranks()
        if alone and ends == list(range(1, len(numbers) + 1)):  # one loss a step: nothing to average
            return numbers
        sums = [sum(numbers[a:b]) for a, b in pairwise([0, *ends])]
        counts = [float(b - a) for a, b in pairwise([0, *ends])]
        if not alone:
            sums, counts = sum_over_ranks([sums, counts])
        return [total / count for total, count in zip(sums, counts, strict=True) if count]

    def clear(self) -> None:
        """Forget all."""
        self._numbers, self._waiting, self._held, self._ends = [], [], 0, []

    def state(self) -> dict[str, list[float]]:
        """Return what is not handed over yet, as plain data; reads the device."""
        self._read()
        return {"numbers": list(self._numbers), "ends": list(self._ends)}

    def load(self, state: dict[str, list[float]]) -> None:
        """Restore what `state` returned."""
        self.clear()
        self._numbers, self._ends = list(state["numbers"]), [int(end) for end in state["ends"]]

    def _read(self) -> None:
        """Read the waiting losses in one transfer."""
        if self._waiting:
            self._numbers += torch.cat(self._waiting).tolist()
            self._waiting, self._held = [], 0
