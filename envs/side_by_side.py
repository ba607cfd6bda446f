"""Decision processes side by side: batches of runs, each with problems and a horizon of its own, on several cores."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.envs.process import Process, Transition
from lrpilot.envs.workers import Worker

MakeProcess = Callable[[int], Process]  # number of the batch -> its process; must survive pickling


class Seen(NamedTuple):
    """What a shell reads of a batch of B runs after each decision.

    Attributes:
        observation: Shape (B, S).
        reward: Shape (B,).
        terminated: Shape (B,).
        hidden: What the critic alone sees, shape (B, H).
        log_multiple: Shape (B,).
        over: Which runs have come to their end, shape (B,).
    """

    observation: NDArray[np.float32]
    reward: Floats
    terminated: NDArray[np.bool_]
    hidden: NDArray[np.float32]
    log_multiple: Floats
    over: NDArray[np.bool_]


class Batches:
    """The processes that one core computes, one after the other.

    Args:
        make: Makes each.
        numbers: Of the batches.
    """

    def __init__(self, make: MakeProcess, numbers: Sequence[int]) -> None:
        self.processes = [make(number) for number in numbers]

    def seed(self, seeds: Sequence[np.random.SeedSequence]) -> None:
        """Restart the source of randomness of each."""
        for process, seed in zip(self.processes, seeds, strict=True):
            process.seed(seed)

    def reset(self, slots: Sequence[NDArray[np.bool_]]) -> list[Seen]:
        """Begin new runs in the marked slots of each."""
        for process, mine in zip(self.processes, slots, strict=True):
            if mine.any():
                process.reset(mine)
        nothing = [(np.zeros(len(mine)), np.zeros(len(mine), dtype=np.bool_)) for mine in slots]
        return [_seen(p, Transition(p.observation(), *none)) for p, none in zip(self.processes, nothing, strict=True)]

    def step(self, actions: Sequence[Floats]) -> list[Seen]:
        """Hold one decision of each until its next one is due."""
        return [_seen(process, process.step(mine)) for process, mine in zip(self.processes, actions, strict=True)]


def _seen(process: Process, transition: Transition) -> Seen:
    return Seen(*transition, process.hidden(), process.log_multiple, process.over)


class ProcessPool:
    """Batches of runs that look like one process to a shell.

    What each batch does depends on its number and the seed alone, not on how many cores there are.

    Args:
        make: Makes the process of a batch from its number; all are of one family.
        batches: N, all of the same number of runs.
        cores: How many operating-system processes compute them, with this one; divides N.

    Attributes:
        batch_size: Runs in all.
        hidden_size: Entries of the hidden state.

    Raises:
        ValueError: `cores` does not divide N.
    """

    def __init__(self, make: MakeProcess, batches: int, cores: int = 1) -> None:
        if batches % cores:
            raise ValueError(f"processes must divide the {batches} batches, {cores} does not")
        dealt = [[n for n in range(batches) if _core(n, cores) == core] for core in range(cores)]
        self._order = np.argsort(np.concatenate(dealt))
        self._dealt = dealt
        self._workers = [Worker(partial(Batches, make, numbers)) for numbers in dealt[1:]]
        self._here = Batches(make, dealt[0])
        first = self._here.processes[0]
        self.batch_size, self.hidden_size = batches * first.batch_size, first.hidden_size
        self._seen: Seen | None = None

    def seed(self, seed: int | None) -> None:
        """Restart the sources of randomness of all batches."""
        seeds = np.random.SeedSequence(seed).spawn(len(self._order))
        self._all("seed", seeds)

    def reset(self, slots: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Begin new runs in all slots, or in those that are marked; see `Process.reset`."""
        slots = np.ones(self.batch_size, dtype=np.bool_) if slots is None else slots
        return self._joined("reset", slots).observation

    def step(self, action: Floats) -> Transition:
        """Hold one decision of each run until its next one is due; see `Process.step`."""
        return Transition(*self._joined("step", action)[:3])

    def hidden(self) -> NDArray[np.float32]:
        """Return the hidden states, shape (B, hidden_size)."""
        return self._last.hidden

    @property
    def log_multiple(self) -> Floats:
        """Mean log of LR over its reference in the last interval, shape (B,)."""
        return self._last.log_multiple

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which runs have come to the end of their horizon, shape (B,)."""
        return self._last.over

    @property
    def _last(self) -> Seen:
        assert self._seen is not None, "reset first"
        return self._seen

    def _joined(self, method: str, of_runs: NDArray[Any]) -> Seen:
        answers = self._all(method, np.split(of_runs, len(self._order)))
        batches = [seen for part in answers for seen in part]
        parts = zip(*(batches[place] for place in self._order), strict=True)
        self._seen = Seen(*map(np.concatenate, parts))
        return self._seen

    def _all(self, method: str, of_batches: Sequence[Any]) -> list[Any]:
        """Call a method of the batches of each core with what is for them."""
        mine, *others = ([of_batches[number] for number in numbers] for numbers in self._dealt)
        for worker, its in zip(self._workers, others, strict=True):
            worker.send(method, its)
        here = getattr(self._here, method)(mine)
        return [here, *(worker.receive() for worker in self._workers)]


def _core(number: int, cores: int) -> int:
    """Deal batches out there and back, 0 1 1 0 0 1 …: later ones are longer."""
    place = number % (2 * cores)
    return min(place, 2 * cores - 1 - place)
