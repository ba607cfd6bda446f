"""Reads the gradients of a training loop, also of one that clears them before the scheduler's step."""

import weakref
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.optim import Optimizer

from lrpilot.schedule import Schedule
from lrpilot.schedulers import parameters


class Reading(NamedTuple):
    """What was read of the gradients of one step.

    Attributes:
        square: ‖g‖².
        sketch: Of g; see `parameters.gradient`.
    """

    square: float
    sketch: NDArray[np.float32]


class GradientReader:
    """Reads gradients at decisions; if they are gone by then, from the next decision on right after `optimizer.step`.

    Args:
        schedule: Knows when decisions are due.

    Attributes:
        early: Whether they are read right after `optimizer.step`.
    """

    def __init__(self, schedule: Schedule) -> None:
        self._schedule, self.early = schedule, False
        self._hooked, self._kept = False, None  # type: bool, Reading | None

    def read(self, optimizer: Optimizer) -> Reading | None:
        """Return what there is of the step just made; None if its gradients are gone, sparse, or there were none.

        Args:
            optimizer: Its parameters' `.grad` are read; all zeros count as cleared.
        """
        kept, self._kept = self._kept, None
        if kept is not None:
            return kept
        reading = _reading(optimizer)
        if reading is not None and reading.square > 0:
            return reading
        self.read_early(optimizer)
        return None

    def read_early(self, optimizer: Optimizer) -> None:
        """From now on read right after `optimizer.step`, before anything can clear them."""
        self.early = True
        if self._hooked or not hasattr(optimizer, "_optimizer_step_post_hooks"):  # a wrapper that is no real optimizer
            return
        self._hooked, this = True, weakref.ref(self)

        @torch.compiler.disable  # type: ignore[untyped-decorator]
        def after_step(stepped: Optimizer, *_: Any) -> None:
            reader = this()
            if reader is not None and reader.early and decides_next(reader._schedule):
                reader._kept = _reading(stepped)

        optimizer.register_step_post_hook(after_step)

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_hooked": False}  # a copy's optimizer has no hooks


def decides_next(schedule: Schedule) -> bool:
    """Whether the step that is being made ends with a decision."""
    return schedule.decides_at <= schedule.calls + 1 < schedule.horizon


def _reading(optimizer: Optimizer) -> Reading | None:
    square = parameters.gradient_sq(optimizer)
    return Reading(square, parameters.gradient(optimizer)) if square == square else None
