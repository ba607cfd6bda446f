"""The families of tasks: for each its distribution of problems, the batched task that runs them, and its data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from lrpilot.envs.data import load_matrix
from lrpilot.envs.datasets import load_dataset
from lrpilot.envs.labelled_data import load_labelled
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.linear import LinearTask
from lrpilot.envs.tasks.linear_problems import LinearProblems
from lrpilot.envs.tasks.mixed import GuessedLR, MixedTask
from lrpilot.envs.tasks.net import NetTask
from lrpilot.envs.tasks.net_problems import NetProblems
from lrpilot.envs.tasks.nmf import NMFTask
from lrpilot.envs.tasks.nmf_problems import NMFProblems
from lrpilot.envs.tasks.parallel import ParallelTask

Problems = NMFProblems | LinearProblems | NetProblems


class Beside(NamedTuple):
    """Runs of another family beside those of networks: of one with a bound, which is not told.

    Attributes:
        family: "nmf" or "linear".
        share: Of all runs.
        worth: What a nat of the log objective counts, beside one of a network.
        data: Names of its data sets.
    """

    family: str
    share: float
    worth: float
    data: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """One family of tasks.

    Attributes:
        problems: The distribution that problems are drawn from; called without arguments, the default one.
        task: Makes the batched task from the distribution, a batch size, names of data sets and `replicas`.
        action: What an LR is a multiple of, one of `lrpilot.policy.ACTIONS`.
        load: Reads a data set by name; raises DataError if it can't be had or can't be used.
        decisions: How an agent acts by default.
    """

    problems: Callable[[], Problems]
    task: Callable[[Any, int, Sequence[str], int], AbstractTask]
    action: str
    load: Callable[[str], object]
    decisions: Decisions


def _networks(problems: Callable[[], NetProblems]) -> Family:
    """The base LR is a guess, so the agent begins far below it and changes the LR step by step; nothing bounds it."""
    decisions = Decisions(
        60, (4,), "linear", -10.0, 5.5, max_change=1.5, log_start=-6.0, reflex=3.0, guard="off", penalty=2.0
    )
    return Family(problems, NetTask, "multiple_of_base", load_dataset, decisions)


FAMILIES = {
    "nmf": Family(NMFProblems, NMFTask, "fraction_of_bound", load_matrix, Decisions()),
    "linear": Family(LinearProblems, LinearTask, "fraction_of_bound", load_labelled, Decisions()),
    "cnn": _networks(lambda: NetProblems(data=("digits", "mnist", "mnist1d"), architectures=("cnn", "resnet"))),
    "nlp": _networks(
        lambda: NetProblems(data=("docstrings", "manual"), architectures=("byte_cnn", "gru", "transformer"))
    ),
    "universal": _networks(NetProblems),
}


def make_process(
    family: str,
    batch_size: int,
    problems: Problems | None = None,
    decisions: Decisions | None = None,
    data: Sequence[str] = (),
    replicas: int = 1,
    processes: int = 1,
    beside: Sequence[Beside] = (),
) -> Process:
    """Return the batched decision process that every shell wraps.

    Args:
        family: A key of `FAMILIES`.
        batch_size: Runs side by side.
        problems: The distribution of problems; the family's default one if None.
        decisions: How the agent acts; the family's default if None.
        data: Names of the data sets that problems are made of; none means the family's own choice.
        replicas: How many successive runs share problem, initialisation and noise.
        processes: How many processes compute the runs, with this one; each has an equal part.
        beside: Runs of other families, for `problems` of networks; their base LRs are as wrong as those of networks.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A data set can't be had or can't be used.

    Example:
        >>> make_process("nmf", 3).task.batch_size
        3
    """
    chosen = FAMILIES[family]
    make = partial(_make_task, family, problems or chosen.problems(), tuple(data), replicas, tuple(beside))
    task = make(batch_size) if processes == 1 else ParallelTask(make, batch_size, processes)
    return Process(task, decisions or chosen.decisions)


def _make_task(
    family: str,
    problems: Problems,
    data: Sequence[str],
    replicas: int,
    beside: Sequence[Beside],
    batch_size: int,
) -> AbstractTask:
    if not beside:
        return FAMILIES[family].task(problems, batch_size, data, replicas)
    assert isinstance(problems, NetProblems)
    counts = [max(1, round(other.share * batch_size / replicas)) * replicas for other in beside]
    if sum(counts) >= batch_size:
        raise ValueError(f"{batch_size} runs are too few for networks and {len(beside)} other families")
    parts = [FAMILIES[family].task(problems, batch_size - sum(counts), data, replicas)]
    for other, count in zip(beside, counts, strict=True):
        bounded = FAMILIES[other.family]
        task = bounded.task(bounded.problems(), count, other.data, replicas)
        parts.append(GuessedLR(task, problems.lr_error, replicas, other.worth))
    return MixedTask(parts)
