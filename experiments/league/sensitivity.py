"""What a wrong base LR costs, and whether any rival was tuned badly."""

from dataclasses import dataclass

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.statistics import Estimate
from lrpilot.experiments.stats import interval

TOLERANCE = 0.05  # nats: base LRs whose mean final loss is no further from the best are good enough


@dataclass(frozen=True)
class Sensitivity:
    """Final loss of one cell over the base LR, all else as chosen.

    Attributes:
        multiples: Base LRs, in the task's unit, shape (C,).
        losses: Mean final loss over problems from each, nats, shape (C,).
        octaves: Width of the range of base LRs around the best within 0.05 nats of it, in factors of 2, on straight
            lines between the base LRs that were tried; NaN if the rival has no base LR.
        cut: Whether the range reaches an end of the grid, so that it may be wider.
        failed: Share of failed runs from all those base LRs.
    """

    multiples: Floats
    losses: Floats
    octaves: float
    cut: bool
    diverged: float


def sensitivity(cell: Cell) -> Sensitivity:
    """Return what the choice of the base LR costs a rival on a task.

    Grids differ in how far they reach, and so does the share of failed runs; the width hardly does.

    Args:
        cell: A rival on a task.

    Returns:
        The curve, its width and failures.
    """
    if not len(cell.multiples):
        return Sensitivity(cell.multiples, np.empty(0), float("nan"), False, float("nan"))
    losses = cell.sensitivity.mean(1)
    excess, octave, best = losses - losses.min() - TOLERANCE, np.log2(cell.multiples), int(losses.argmin())
    down, cut_below = _reach(octave[best::-1], excess[best::-1])
    up, cut_above = _reach(octave[best:], excess[best:])
    diverged = float(cell.failures.sum() / cell.sensitivity.size)
    return Sensitivity(cell.multiples, losses, down + up, cut_below or cut_above, diverged)


@dataclass(frozen=True)
class Handicap:
    """A rival that would have done better on a task with a neighbour of its base LR.

    Attributes:
        task: Name of the task.
        rival: Name of the rival.
        base_lr: Chosen base LR, in the task's unit.
        better: The neighbour.
        gain: Mean over scored problems of what the neighbour gains, nats, with the paired interval.
    """

    task: str
    rival: str
    base_lr: float
    better: float
    gain: Estimate


@dataclass(frozen=True)
class HandicapCheck:
    """How well rivals were tuned.

    Attributes:
        compared: Neighbours that were compared. Were all exactly as good as the choice, some would be found by
            chance: 4 % with 12 problems and 6 % with 8, measured on 4,000 draws of normal gains each.
        found: Neighbours whose gain has an interval wholly above 0.
        on_edge: Task and rival where the choice is the lowest or highest base LR tried.
    """

    compared: int
    found: tuple[Handicap, ...]
    on_edge: tuple[tuple[str, str], ...]


def handicaps(league: League) -> HandicapCheck:
    """Check that no tuned rival was denied a better base LR: compare each choice with its neighbours on the grid.

    Base LRs are chosen on other problems than those that are scored, so a neighbour may be better by chance.

    Args:
        league: The table.

    Returns:
        What was found.
    """
    tuned = {rival.name for rival in league.rivals if rival.tuned}
    cells = [cell for cell in league.cells if cell.rival in tuned and np.isfinite(cell.base_lr)]
    compared = [handicap for cell in cells for handicap in _neighbours(cell)]
    found = tuple(handicap for handicap in compared if handicap.gain.low > 0)
    return HandicapCheck(len(compared), found, tuple((cell.task, cell.rival) for cell in cells if cell.on_edge))


def _neighbours(cell: Cell) -> list[Handicap]:
    """What each neighbour of the chosen base LR would have gained."""
    chosen = int(abs(cell.multiples - cell.base_lr).argmin()) if len(cell.multiples) else 0
    result = []
    for index in (chosen - 1, chosen + 1):
        if 0 <= index < len(cell.multiples):
            gains = cell.final - cell.sensitivity[index]
            gain = Estimate(float(gains.mean()), *interval(gains))
            result.append(Handicap(cell.task, cell.rival, cell.base_lr, float(cell.multiples[index]), gain))
    return result


def _reach(octave: Floats, excess: Floats) -> tuple[float, bool]:
    """How far from the first entry, which is ≤ 0, the excess stays so, and whether it does to the last."""
    beyond = np.flatnonzero(excess > 0)
    if not len(beyond):
        return float(abs(octave[-1] - octave[0])), True
    last = beyond[0] - 1
    between = excess[last] / (excess[last] - excess[last + 1])
    return float(abs(octave[last] + between * (octave[last + 1] - octave[last]) - octave[0])), False
