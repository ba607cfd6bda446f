"""Tasks in processes of their own."""

import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import numpy as np
import torch

from lrpilot.arrays import Floats
from lrpilot.envs.tasks.base import AbstractTask

Make = Callable[[int], AbstractTask]  # batch size -> task; must survive pickling


class Worker:
    """A task in a process of its own; its methods are called by name.

    Args:
        make: Makes the task there.
        batch_size: Its runs.

    Attributes:
        batch_size: As the argument.
        reference: Its reference LRs after the last call.
    """

    def __init__(self, make: Make, batch_size: int) -> None:
        self.batch_size = batch_size
        self.reference: Floats = np.ones(batch_size)
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        context.Process(target=_serve, args=(there, make, batch_size), daemon=True).start()
        there.close()

    def send(self, method: str, arguments: tuple[Any, ...]) -> None:
        """Begin to call a method."""
        self._connection.send((method, arguments))

    def receive(self) -> Any:
        """Return what the method returns; an exception there is raised here."""
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        value, self.reference = answer
        return value


def _serve(connection: Connection, make: Make, batch_size: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    torch.set_num_threads(1)
    task = make(batch_size)
    with suppress(EOFError, OSError):  # until the one that asks is gone
        while True:
            method, arguments = connection.recv()
            try:
                answer: Any = (getattr(task, method)(*arguments), task.reference())
            except Exception as error:
                answer = error
            connection.send(answer)
