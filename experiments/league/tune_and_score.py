"""One cell of the table: tune a rival on a task, with the same budget as any other, and score it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.rival import AbstractRival
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.workload import Workload

OCTAVES = 6  # base LRs are tried from 1/64 to 64 of the task's unit
GROWN, GROWTHS = 2, 3  # values by which a grid grows beyond an edge at a time, and how often
TIE = 1e-4  # nats: settings this close to the best are as good, and the one nearest to the task's unit is taken


@dataclass(frozen=True)
class Budget:
    """What every rival may spend.

    Attributes:
        problems: P, scored problems of each task; as many are tuned on.
        base_lrs: Base LRs for each shape of the rivals with the most shapes, odd; those with fewer shapes try more.
        shapes: Values of its other settings that a rival may try; all where there is no base LR.
        tasks_of_family: Tasks of each family that are run; None: all.
    """

    problems: int
    base_lrs: int
    shapes: int
    tasks_of_family: int | None = None

    def multiples(self, shapes: int) -> Floats:
        """Return the base LRs for a rival with so many shapes, in the task's unit, log-spaced around 1."""
        each = self.base_lrs * self.shapes // shapes
        return np.exp2(np.linspace(-OCTAVES, OCTAVES, each + 1 - each % 2))


FULL = Budget(problems=12, base_lrs=13, shapes=3)
QUICK = Budget(problems=8, base_lrs=9, shapes=1, tasks_of_family=1)
SMOKE = Budget(problems=2, base_lrs=3, shapes=1, tasks_of_family=1)


@dataclass
class _Tried:
    """All runs of one shape, by increasing base LR."""

    multiples: Floats
    runs: list[Runs] = field(default_factory=list)

    def of(self, name: str) -> Floats:
        return np.concatenate([getattr(runs, name) for runs in self.runs])

    def of_one_run(self, name: str) -> float:
        """Mean passes or seconds of a run."""
        return self.of_settings(name) / len(self.multiples)

    def of_settings(self, name: str) -> float:
        """Passes or seconds of a run, summed over all settings of this shape."""
        return float(sum(getattr(runs, name) * len(runs.final) for runs in self.runs))


def tune_and_score(rival: AbstractRival, workload: Workload, budget: Budget) -> tuple[Cell, Floats]:
    """Tune a rival on a task and score it.

    Every setting runs on the problems for tuning and on those that are scored; the setting is chosen by the mean
    held-out loss on the former. A grid grows beyond an edge that the choice falls on.

    Args:
        rival: The rival.
        workload: The task.
        budget: What it may spend.

    Returns:
        The cell, and the final loss of the best of all settings for each scored problem in hindsight, shape (P,).
    """
    shapes = rival.shapes[: budget.shapes] if rival.has_base_lr else rival.shapes
    multiples = budget.multiples(len(shapes)) if rival.has_base_lr else np.ones(1)
    tried = {shape: _Tried(multiples, [rival.run(shape, multiples, workload)]) for shape in shapes}
    shape, index, on_edge = _choose(tried, workload.problems)
    if rival.info.tuned and rival.has_base_lr and rival.info.kind != "search":
        for _ in range(GROWTHS):
            if not on_edge:
                break
            _grow(tried[shape], index, rival, shape, workload)
            shape, index, on_edge = _choose(tried, workload.problems)
    if not rival.info.tuned:
        shape, index, on_edge = shapes[0], len(multiples) // 2, False
    every = np.concatenate([entry.of("final") for entry in tried.values()])[:, workload.problems :]
    return _cell(rival, workload, tried, (shape, index, on_edge)), every.min(0)


def _choose(tried: dict[str, _Tried], problems: int) -> tuple[str, int, bool]:
    """Shape, index of the base LR, and whether that is an edge where nothing else is as good."""
    losses = {shape: entry.of("curve")[:, -1, :problems].mean(1) for shape, entry in tried.items()}
    best = min(loss.min() for loss in losses.values())
    good = [
        (abs(np.log(tried[shape].multiples[index])), shape, int(index))
        for shape, loss in losses.items()
        for index in np.flatnonzero(loss <= best + TIE)
    ]
    _, shape, index = min(good)
    count = len(losses[shape])
    return shape, index, count > 1 and index in (0, count - 1)


def _grow(entry: _Tried, index: int, rival: AbstractRival, shape: str, workload: Workload) -> None:
    """Try base LRs beyond the edge that the index is at."""
    ratio = entry.multiples[1] / entry.multiples[0]
    beyond = ratio ** np.arange(1, GROWN + 1)
    added = entry.multiples[0] / beyond[::-1] if index == 0 else entry.multiples[-1] * beyond
    runs = rival.run(shape, added, workload)
    entry.runs.insert(0 if index == 0 else len(entry.runs), runs)
    parts = [added, entry.multiples] if index == 0 else [entry.multiples, added]
    entry.multiples = np.concatenate(parts)


def _cell(rival: AbstractRival, workload: Workload, tried: dict[str, _Tried], chosen: tuple[str, int, bool]) -> Cell:
    shape, index, on_edge = chosen
    entry, scored = tried[shape], slice(workload.problems, None)
    settings = sum(len(other.of("final")) for other in tried.values())
    swept = rival.has_base_lr and rival.info.kind != "search"

    def tuning(name: str) -> float:
        return workload.problems * sum(other.of_settings(name) for other in tried.values()) * rival.info.tuned

    final, diverged = entry.of("final")[:, scored], entry.of("diverged")[:, scored]
    return Cell(
        task=workload.name,
        rival=rival.info.name,
        base_lr=float(entry.multiples[index]) if swept else float("nan"),
        shape=shape,
        tried=settings if rival.info.tuned else 1,
        on_edge=on_edge and swept,
        final=final[index],
        diverged=diverged[index],
        shares=entry.runs[0].shares,
        curve=entry.of("curve")[index][:, scored],
        lr=entry.of("lr")[index][:, scored],
        multiples=entry.multiples if swept else np.zeros(0),
        sensitivity=final if swept else np.zeros((0, workload.problems)),
        failures=diverged.sum(1) if swept else np.zeros(0, dtype=np.int64),
        passes=entry.of_one_run("passes"),
        tuning_passes=tuning("passes"),
        seconds=entry.of_one_run("seconds"),
        tuning_seconds=tuning("seconds"),
        wall_seconds=tuning("wall_seconds") + entry.of_one_run("wall_seconds") * workload.problems,
    )


def best_in_hindsight(cells: Sequence[Cell], every: Sequence[Floats], workload: Workload) -> Cell:
    """Return the cell of the best of all settings of some rivals, chosen for each scored problem in hindsight.

    Args:
        cells: Theirs; curves and LRs of the best of them on average stand for it.
        every: What `tune_and_score` returned with each.
        workload: The task.
    """
    like = min(cells, key=lambda cell: float(cell.final.mean()))
    settings = sum(cell.tried for cell in cells)
    return Cell(**{
        **vars(like),
        "rival": HINDSIGHT,
        "base_lr": float("nan"),
        "shape": f"best of {settings} settings for each problem",
        "tried": settings,
        "on_edge": False,
        "final": np.min(every, 0),
        "diverged": np.zeros(workload.problems, dtype=bool),
        "multiples": np.zeros(0),
        "sensitivity": np.zeros((0, workload.problems)),
        "failures": np.zeros(0, dtype=np.int64),
    })


HINDSIGHT = "hindsight"
