"""The families of tasks: for each its distribution of problems, the batched task that runs them, and its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from lrpilot.envs.data import load_matrix
from lrpilot.envs.labelled_data import load_labelled
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.linear import LinearTask
from lrpilot.envs.tasks.linear_problems import LinearProblems
from lrpilot.envs.tasks.nmf import NMFTask
from lrpilot.envs.tasks.nmf_problems import NMFProblems

Problems = NMFProblems | LinearProblems


@dataclass(frozen=True)
class Family:
    """One family of tasks.

    Attributes:
        problems: The distribution that problems are drawn from; called without arguments, the default one.
        task: Makes the batched task from the distribution, a batch size, names of data sets and `replicas`.
        load: Reads a data set by name; raises DataError if it can't be had or can't be used.
    """

    problems: Callable[[], Problems]
    task: Callable[[Any, int, Sequence[str], int], AbstractTask]
    load: Callable[[str], object]


FAMILIES = {
    "nmf": Family(NMFProblems, NMFTask, load_matrix),
    "linear": Family(LinearProblems, LinearTask, load_labelled),
}


def make_process(
    family: str,
    batch_size: int,
    problems: Problems | None = None,
    decisions: Decisions | None = None,
    data: Sequence[str] = (),
    replicas: int = 1,
) -> Process:
    """Return the batched decision process that every shell wraps.

    Args:
        family: A key of `FAMILIES`.
        batch_size: Runs side by side.
        problems: The distribution of problems; the family's default one if None.
        decisions: How the agent acts; the default if None.
        data: Names of the data sets that problems are made of; none means the family's own choice.
        replicas: How many successive runs share problem, initialisation and noise.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A data set can't be had or can't be used.

    Example:
        >>> make_process("nmf", 3).task.batch_size
        3
    """
    chosen = FAMILIES[family]
    task = chosen.task(problems or chosen.problems(), batch_size, data, replicas)
    return Process(task, decisions or Decisions())
