"""The families of tasks, one line each, and the batched decision process of each."""

from collections.abc import Sequence
from functools import partial
from typing import Any

from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.side_by_side import ProcessPool
from lrpilot.envs.tasks.linear.family import LINEAR
from lrpilot.envs.tasks.micro.family import UNIVERSAL
from lrpilot.envs.tasks.nets.family import CNN, NLP
from lrpilot.envs.tasks.nmf.family import NMF

FAMILIES: dict[str, Family] = {
    family.name: family
    for family in (
        NMF,
        LINEAR,
        CNN,
        NLP,
        UNIVERSAL,
    )
}


def make_process(
    family: str,
    batch_size: int,
    problems: Any = None,
    decisions: Decisions | None = None,
    data: Sequence[str] = (),
    replicas: int = 1,
    *,
    stratum: tuple[int, int] = (0, 1),
    guided: bool = False,
) -> Process:
    """Return the batched decision process that every shell wraps.

    Args:
        family: A key of `FAMILIES`.
        batch_size: Runs side by side.
        problems: The distribution of problems; the family's default one if None.
        decisions: How the agent acts; the family's default if None.
        data: Names of the data sets that problems are made of; none means the family's own choice.
        replicas: How many successive runs share problem, initialisation and noise.
        stratum: Of the range of horizons; see `Process`.
        guided: Whether LRs are tried beforehand; see `Process`.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A data set can't be had or can't be used.

    Example:
        >>> make_process("nmf", 3).task.batch_size
        3
    """
    chosen = FAMILIES[family]
    task = chosen.task(problems or chosen.problems(), batch_size, tuple(data), replicas)
    return Process(task, decisions or chosen.decisions, stratum, guided)


def make_pool(batches: int, cores: int, batch_size: int, guided: bool, *arguments: Any) -> Process | ProcessPool:
    """Return several such processes side by side, or a single one.

    Args:
        batches: How many.
        cores: How many operating-system processes compute them; divides `batches`.
        batch_size: Runs in all; a multiple of `batches`.
        guided: As for `make_process`.
        *arguments: Its other arguments, but for batch size and stratum.
    """
    make = partial(_make_batch, batches, batch_size // batches, guided, arguments)
    return make(0) if batches == 1 else ProcessPool(make, batches, cores)


def _make_batch(batches: int, batch_size: int, guided: bool, arguments: Sequence[Any], number: int) -> Process:
    family, *others = arguments
    return make_process(family, batch_size, *others, stratum=(number, batches), guided=guided)
