"""Objects in processes of their own."""

import signal
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

Make = Callable[[], Any]  # must survive pickling


class Worker:
    """An object in a process of its own; its methods are called by name. The process ends with this one.

    Args:
        make: Makes the object there.
    """

    def __init__(self, make: Make) -> None:
        context = get_context("spawn")
        self._connection, there = context.Pipe()
        context.Process(target=_serve, args=(there, make), daemon=True).start()
        there.close()

    def send(self, method: str, *arguments: Any) -> None:
        """Begin to call a method."""
        self._connection.send((method, arguments))

    def receive(self) -> Any:
        """Return what the method returns; an exception there is raised here."""
        answer = self._connection.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(connection: Connection, make: Make) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    torch.set_num_threads(1)
    made: Any = None
    with suppress(EOFError, OSError):  # until the one that asks is gone
        while True:
            method, arguments = connection.recv()
            try:
                made = make() if made is None else made
                answer: Any = getattr(made, method)(*arguments)
            except Exception as error:
                answer = error
            connection.send(answer)
