"""Losses on their way to a schedule: left where they are until a decision, and alike on all ranks after."""

from itertools import pairwise
from typing import Any, SupportsFloat

import torch
from torch import Tensor

from lrpilot.arrays import loss_number
from lrpilot.schedulers.ranks import SumsOverRanks, many_ranks

PACKED = 256  # losses on an accelerator that are put into one tensor, which needs no synchronisation


class Losses:
    """What was observed and not handed over yet: sum and number of the losses of each step.

    A loss on an accelerator stays there until a decision, when all of them are read in one transfer. Under
    `torch.distributed` they are summed over the ranks step by step, and nobody waits for the sums before a decision: so
    all ranks decide alike, and the state of one is that of all. Other losses are handed over with their step.
    """

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0  # of the open step
        self._parts: list[Tensor] = []  # its losses on an accelerator, each of shape (1,)
        self._parts_count = 0  # how many these stand for
        self._closed: list[list[float]] = []  # sum and number of steps that are over
        self._waiting: list[Tensor] = []  # losses of later steps, still on their device, each of shape (n,)
        self._waiting_steps: list[tuple[float, int, int]] = []  # of each: sum of the others, number, how many wait
        self._ranks: SumsOverRanks | None = None  # sums of later steps, where there are other ranks
        self._begun = False  # whether it is known if there are
        self._plain = False  # whether losses are handed over with their step

    def add(self, loss: SupportsFloat) -> None:
        """Take in one loss.

        Args:
            loss: A number, or a tensor with one element on any device.

        Raises:
            TypeError: It is no number.
            ValueError: A tensor with more than one element, or one without a value.
        """
        if type(loss) is not float:  # the first is ten times faster
            if isinstance(loss, Tensor):
                if loss.numel() != 1:
                    raise ValueError(f"loss must have one element, not shape {tuple(loss.shape)}")
                if not loss.is_cpu:
                    self._wait(loss)
                    return
                loss = loss.item()
            if type(loss) is not float:
                loss = loss_number(loss)
        self._sum += loss
        self._count += 1

    def _wait(self, loss: Tensor) -> None:
        if loss.is_meta:
            loss_number(loss)  # raises
        self._plain = False
        self._parts.append(loss.detach().reshape(1).clone())  # a captured graph writes to the same place again
        self._parts_count += 1
        if len(self._parts) == PACKED:
            self._parts = [torch.cat(self._parts).sum().reshape(1)]

    def end_step(self, decides: bool, loss: SupportsFloat | None = None) -> list[float]:
        """End a step, and hand over what is at hand.

        Args:
            loss: One more of this step; None if all are in.
            decides: Whether a decision follows, so that all losses are wanted. Under `torch.distributed` all ranks
                must call it as often, and decide at the same steps.

        Returns:
            The mean loss of each step in which any rank observed a loss, since the last that was handed over; NaN or
            infinite where one of them was.
        """
        if loss is not None:
            if self._plain and not self._count and type(loss) is float:  # as in most loops
                return [loss]
            if self._plain and not self._count and isinstance(loss, Tensor) and loss.is_cpu and loss.numel() == 1:
                number = loss.item()
                return [number if type(number) is float else loss_number(number)]
            self.add(loss)
        if not self._begun:
            self._begun, self._ranks = True, SumsOverRanks() if many_ranks() else None
        if self._ranks is None and not (self._parts or self._waiting_steps or self._closed):
            self._plain = True
            total, count = self._sum, self._count
            self._sum, self._count = 0.0, 0
            return [total / count] if count else []
        at_hand = self._ranks is None and self._count > 0 and not self._parts  # so the others can be read, too
        self._close()
        return self._take() if decides or at_hand else []

    def _close(self) -> None:
        self._plain = False
        if self._ranks is not None:
            self._ranks.add(self._sum, self._count + self._parts_count, self._parts)
        elif self._parts or self._waiting_steps:
            self._waiting += self._parts
            self._waiting_steps.append((self._sum, self._count + self._parts_count, len(self._parts)))
            if len(self._waiting) > PACKED:
                self._waiting = [torch.cat(self._waiting)]
        else:
            self._closed.append([self._sum, self._count])
        self._sum, self._count, self._parts, self._parts_count = 0.0, 0, [], 0

    def _take(self) -> list[float]:
        self._read()
        closed, self._closed = self._closed, []
        return [total / count for total, count in closed if count]

    def _read(self) -> None:
        """Read the waiting losses in one transfer."""
        if self._ranks is not None:
            self._closed += self._ranks.take()
        values = iter(torch.cat(self._waiting).tolist() if self._waiting else ())
        for total, count, tensors in self._waiting_steps:
            self._closed.append([sum((next(values) for _ in range(tensors)), total), count])
        self._waiting, self._waiting_steps = [], []

    def rescale(self, factor: float) -> None:
        """Multiply all losses that are not handed over yet; reads the device."""
        state = self.state()
        self.load({key: [[total * factor, count] for total, count in steps] for key, steps in state.items()})

    def state(self) -> dict[str, list[list[float]]]:
        """Return what is not handed over yet, as plain data; reads the device."""
        self._read()
        parts = torch.cat(self._parts).tolist() if self._parts else []
        return {
            "steps": [list(step) for step in self._closed],
            "open": [[sum(parts, self._sum), self._count + self._parts_count]],
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned, of this version or an earlier one."""
        if "numbers" in state:
            state = _of_earlier_version(state["numbers"], state["ends"])
        self._parts, self._parts_count, self._waiting, self._waiting_steps = [], 0, [], []
        if self._ranks is not None:
            self._ranks.take()
        self._plain = False
        self._closed = [[float(total), int(count)] for total, count in state["steps"]]
        ((total, count),) = state["open"]
        self._sum, self._count = float(total), int(count)


def _of_earlier_version(numbers: list[float], ends: list[float]) -> dict[str, list[list[float]]]:
    """From all losses in a row, and how many there were at the end of each step."""
    edges = [0, *map(int, ends), len(numbers)]
    *steps, last = [[float(sum(numbers[a:b])), b - a] for a, b in pairwise(edges)]
    return {"steps": steps, "open": [last]}
