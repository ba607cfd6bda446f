"""A task whose runs are dealt out to several processes: the same steps, on more than one core."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrpilot.envs.tasks.base import AbstractTask, end_to_end, side_by_side
from lrpilot.signals import Floats
from lrpilot.travel import Motion, Weights

Make = Callable[[int], AbstractTask]  # batch size -> task; must survive pickling


class ParallelTask(AbstractTask):
    """B runs, in equal parts: the first part here, each other part in a process of its own.

    Each part draws its problems from a stream of its own, so the results depend on the number of processes, but not
    on which of them is faster. The processes end with this one.

    Args:
        make: Makes one part.
        batch_size: B.
        processes: N, with this one; divides B.

    Raises:
        ValueError: N does not divide B, or `make` refuses.
    """

    def __init__(self, make: Make, batch_size: int, processes: int) -> None:
        if batch_size % processes:
            raise ValueError(f"processes must divide the {batch_size} runs, {processes} does not")
        self.batch_size = batch_size
        self._here = make(batch_size // processes)
        self.hidden_size, self.reference_name = self._here.hidden_size, self._here.reference_name
        self.worth = np.tile(np.broadcast_to(self._here.worth, self._here.batch_size), processes)
        self._others = [_begin(make, batch_size // processes) for _ in range(processes - 1)]
        self._reference: Floats = np.ones(batch_size)

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems; see `AbstractTask.reset`."""
        marked = self._parts(self._marked(slots))
        self._all("reset", list(zip(rng.spawn(len(marked)), marked, strict=True)))
        self._reference = self._joined("reference")

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run; see `AbstractTask.sgd_step`."""
        answers = self._all("sgd_step", [(part,) for part in self._parts(lr)])
        self._reference = np.concatenate([reference for _, reference in answers])
        return np.concatenate([losses for losses, _ in answers])

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last mini-batch, shape (B,)."""
        return self._joined("gradient_sq")

    def weights(self) -> Weights:
        """Return the parameters of each run, shape (B, P), with zeros after those of smaller ones."""
        return side_by_side([answer for answer, _ in self._all("weights")])

    def gradients(self) -> Weights:
        """Return the gradients of the last mini-batches, likewise."""
        return side_by_side([answer for answer, _ in self._all("gradients")])

    def depart(self, slots: NDArray[np.bool_] | None = None) -> None:
        """Follow the weights from here on, each part in its process; see `AbstractTask.depart`."""
        self._all("depart", [(part,) for part in self._parts(self._marked(slots))])

    def motion(self) -> Motion:
        """Return how the weights moved since the last call; see `AbstractTask.motion`."""
        return end_to_end(answer for answer, _ in self._all("motion"))

    def reference(self) -> Floats:
        """Return the reference LR of each run, shape (B,), per step."""
        return self._reference

    def objective(self) -> Floats:
        """Return what the agent is paid for, shape (B,)."""
        return self._joined("objective")

    def hidden(self) -> Floats:
        """Return what a critic may know, shape (B, hidden_size)."""
        return self._joined("hidden")

    def _parts(self, of_runs: NDArray[Any]) -> list[NDArray[Any]]:
        return np.split(of_runs, 1 + len(self._others))

    def _joined(self, method: str) -> Floats:
        return np.concatenate([answer for answer, _ in self._all(method)])

    def _all(self, method: str, arguments: list[tuple[Any, ...]] | None = None) -> list[tuple[Any, Floats]]:
        """Call a method of every part at the same time; each answer comes with the part's reference LRs."""
        each = arguments or [()] * (1 + len(self._others))
        for other, own in zip(self._others, each[1:], strict=True):
            other.send((method, own))
        answers = [_attempt(self._here, method, each[0]), *(other.recv() for other in self._others)]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


def _attempt(task: AbstractTask, method: str, arguments: tuple[Any, ...]) -> Any:
    """What a method returns and the reference LRs after it; or the exception, to be raised where it was asked for."""
    try:
        return getattr(task, method)(*arguments), task.reference()
    except Exception as error:
        return error


def _begin(make: Make, batch_size: int) -> Connection:
    context = get_context("spawn")
    here, there = context.Pipe()
    context.Process(target=_serve, args=(there, make, batch_size), daemon=True).start()
    there.close()
    return here


def _serve(connection: Connection, make: Make, batch_size: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    torch.set_num_threads(1)
    task = make(batch_size)
    with suppress(EOFError, OSError):  # until the one that asks is gone
        while True:
            connection.send(_attempt(task, *connection.recv()))
