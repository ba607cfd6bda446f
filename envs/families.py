"""The families of tasks, one line each, and the batched decision process of each."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.composite import GuessedLR, MixedTask, in_processes
from lrpilot.envs.tasks.linear.family import LINEAR
from lrpilot.envs.tasks.micro.family import MICRO
from lrpilot.envs.tasks.nets.family import CNN, NLP, UNIVERSAL
from lrpilot.envs.tasks.nmf.family import NMF

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        NMF,
        LINEAR,
        CNN,
        NLP,
        UNIVERSAL,
        MICRO,
    )
}


class ExtraFamily(NamedTuple):
    """Runs of another family beside those of networks: of one with a bound, which the agent can't see.

    Attributes:
        family: "nmf" or "linear".
        share: Of all runs.
        reward_weight: What a nat of the log objective counts, beside one of a network.
        data: Names of its data sets.
    """

    family: str
    share: float
    reward_weight: float
    data: tuple[str, ...]


def make_process(
    family: str,
    batch_size: int,
    problems: Any = None,
    decisions: Decisions | None = None,
    data: Sequence[str] = (),
    replicas: int = 1,
    processes: int = 1,
    extra_families: Sequence[ExtraFamily] = (),
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
        extra_families: Runs of other families, for `problems` of networks; their base LRs are as wrong as those of
            networks.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A data set can't be had or can't be used.

    Example:
        >>> make_process("nmf", 3).task.batch_size
        3
    """
    chosen = FAMILIES[family]
    make = partial(_make_task, family, problems or chosen.problems(), tuple(data), replicas, tuple(extra_families))
    return Process(in_processes(make, batch_size, processes), decisions or chosen.decisions)


def _make_task(
    family: str,
    problems: Any,
    data: Sequence[str],
    replicas: int,
    extra_families: Sequence[ExtraFamily],
    batch_size: int,
) -> AbstractTask:
    counts = [max(1, round(other.share * batch_size / replicas)) * replicas for other in extra_families]
    if sum(counts) >= batch_size:
        raise ValueError(f"{batch_size} runs are too few for networks and {len(extra_families)} other families")
    parts = [FAMILIES[family].task(problems, batch_size - sum(counts), data, replicas)]
    for other, count in zip(extra_families, counts, strict=True):
        bounded = FAMILIES[other.family]
        task = bounded.task(bounded.problems(), count, other.data, replicas)
        parts.append(GuessedLR(task, problems.lr_error, replicas, other.reward_weight))
    return MixedTask(parts) if extra_families else parts[0]
