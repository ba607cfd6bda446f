"""The families of tasks, one line each, and the batched decision process of each."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.side_by_side import ProcessPool
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.composite import GuessedLR, MixedTask
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
    extra_families: Sequence[ExtraFamily] = (),
    stratum: tuple[int, int] = (0, 1),
) -> Process:
    """Return the batched decision process that every shell wraps.

    Args:
        family: A key of `FAMILIES`.
        batch_size: Runs side by side.
        problems: The distribution of problems; the family's default one if None.
        decisions: How the agent acts; the family's default if None.
        data: Names of the data sets that problems are made of; none means the family's own choice.
        replicas: How many successive runs share problem, initialisation and noise.
        extra_families: Runs of other families, for `problems` of networks; their base LRs are as wrong as those of
            networks.
        stratum: Of the range of horizons; see `Process`.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A data set can't be had or can't be used.

    Example:
        >>> make_process("nmf", 3).task.batch_size
        3
    """
    chosen = FAMILIES[family]
    task = _make_task(family, problems or chosen.problems(), tuple(data), replicas, tuple(extra_families), batch_size)
    return Process(task, decisions or chosen.decisions, stratum)


def make_pool(batches: int, cores: int, batch_size: int, *arguments: Any, **settings: Any) -> Process | ProcessPool:
    """Return several such processes side by side, or a single one.

    Args:
        batches: How many.
        cores: How many operating-system processes compute them; divides `batches`.
        batch_size: Runs in all; a multiple of `batches`.
        *arguments: Of `make_process`, but for the batch size.
        **settings: The same.
    """
    make = partial(_make_batch, batches, batch_size // batches, arguments, settings)
    return make(0) if batches == 1 else ProcessPool(make, batches, cores)


def _make_batch(
    batches: int, batch_size: int, arguments: Sequence[Any], settings: Mapping[str, Any], number: int
) -> Process:
    family, *others = arguments
    return make_process(family, batch_size, *others, **{**settings, "stratum": (number, batches)})


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
