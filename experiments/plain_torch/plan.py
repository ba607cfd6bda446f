"""Which runs the baselines need: grids of base LRs, extended until the best one is inside, then seeds that count."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from lrpilot.experiments.plain_torch.cell import Cell, Result
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.schedules import PACKAGES, TUNED
from lrpilot.experiments.plain_torch.store import missing

HORIZONS, LONG = (100, 300, 1000, 3000), 10_000  # steps of all networks, and of those that are marked `long`
ORDER = ((300, 1000), (3000, 100), (LONG,))  # horizons by how soon they are wanted
HALF_GRID = 4  # octaves from the middle of the grid to its ends: nine base LRs, a factor of 2 apart
MOST = 21  # base LRs that a grid is extended to at most
LINEAR = "linear"
UNTUNED = ("linear", "cosine")  # also run at the usual LR
TUNING_SEEDS = {LINEAR: (100, 101)}
OTHER_TUNING_SEEDS = (100,)
SEEDS = (0, 1, 2)
Results = Mapping[Cell, Result]


class Unit(NamedTuple):
    """Part of the work: a network at a horizon; linear alone, or all else."""

    network: Network
    horizon: int
    linear: bool


def units(networks: list[Network], horizons: tuple[int, ...] = (*HORIZONS, LONG)) -> list[Unit]:
    """Return the work, most urgent first: linear before the rest, so that policies can be run early.

    Args:
        networks: Those of one role.
        horizons: Which are wanted; those that `ORDER` doesn't know come last.
    """
    known = [horizon for group in ORDER for horizon in group]
    groups = [*ORDER, *((horizon,) for horizon in horizons if horizon not in known)]
    return [
        Unit(network, horizon, linear)
        for group in groups
        for linear in (True, False)
        for horizon in group
        for network in networks
        if horizon in horizons and (horizon != LONG or network.long)
    ]


def tuning_seeds(schedule: str) -> tuple[int, ...]:
    """Return the seeds that a schedule's base LR is tuned on."""
    return TUNING_SEEDS.get(schedule, OTHER_TUNING_SEEDS)


class Grid(NamedTuple):
    """The base LRs of a schedule that were tried, or are to be.

    Attributes:
        octaves: log2 of base LR over the usual one, increasing.
        best: The best of them; None while runs are missing.
        to_run: Cells that are missing.
    """

    octaves: tuple[int, ...]
    best: int | None
    to_run: list[Cell]


def grid(network: Network, horizon: int, schedule: str, results: Results, middle: int = 0) -> Grid:
    """Return how far the tuning of a schedule is.

    Args:
        network: What is trained.
        horizon: Steps.
        schedule: One of `TUNED`.
        results: What is known.
        middle: Middle of the grid before it is extended.

    Returns:
        The grid, extended until its best base LR is inside: by two points for linear, of which it is asked what a
        factor of four costs, by one for others. Where all of the 21 points are used up, the best may be an end.
    """
    margin = 2 if schedule == LINEAR else 1
    low, high = middle - HALF_GRID, middle + HALF_GRID
    while True:
        octaves = tuple(range(low, high + 1))
        to_run = missing(_tuning_cells(network, horizon, schedule, octaves), results)
        if to_run:
            return Grid(octaves, None, to_run)
        best = min(octaves, key=lambda octave: tuning_score(network, horizon, schedule, octave, results))
        below, above = max(0, margin - (best - low)), max(0, margin - (high - best))
        if not (below or above) or len(octaves) >= MOST:
            return Grid(octaves, best, [])
        low, high = low - below, high + above


def _tuning_cells(network: Network, horizon: int, schedule: str, octaves: tuple[int, ...]) -> list[Cell]:
    return [cell(network, horizon, schedule, octave, seed) for octave in octaves for seed in tuning_seeds(schedule)]


def cell(network: Network, horizon: int, schedule: str, octave: int, seed: int, hidden: bool = False) -> Cell:
    """Return the cell of a run of a network."""
    return Cell(network.name, network.version, horizon, schedule, octave, seed, hidden)


def tuning_score(network: Network, horizon: int, schedule: str, octave: int, results: Results) -> float:
    """Return the mean score on the samples to tune by, over the seeds to tune on.

    Raises:
        KeyError: A run is missing.
    """
    cells = _tuning_cells(network, horizon, schedule, (octave,))
    return float(np.mean([results[one].tuning for one in cells]))


def tuned_octave(network: Network, horizon: int, schedule: str, results: Results) -> int | None:
    """Return the tuned base LR, as log2 of it over the usual one; None while runs are missing.

    Args:
        network: What is trained.
        horizon: Steps.
        schedule: One of `TUNED`; the grids of all others begin around the best base LR of linear.
        results: What is known.
    """
    linear = grid(network, horizon, LINEAR, results).best
    if schedule == LINEAR or linear is None:
        return linear
    return grid(network, horizon, schedule, results, linear).best


def needed(unit: Unit, results: Results) -> Iterator[Cell]:
    """Yield the cells that can be run now; there may be more once these are known.

    Args:
        unit: Which part of the work.
        results: What is known.
    """
    network, horizon = unit.network, unit.horizon
    linear = grid(network, horizon, LINEAR, results)
    if unit.linear or linear.best is None:
        yield from _with_seeds(network, horizon, LINEAR, linear, results)
        return
    for schedule in TUNED:
        if schedule != LINEAR:
            other = grid(network, horizon, schedule, results, linear.best)
            yield from _with_seeds(network, horizon, schedule, other, results)
    fixed = [cell(network, horizon, schedule, 0, seed) for schedule in (*UNTUNED, *PACKAGES) for seed in SEEDS]
    yield from missing(fixed, results)


def _with_seeds(network: Network, horizon: int, schedule: str, tried: Grid, results: Results) -> Iterator[Cell]:
    yield from tried.to_run
    if tried.best is not None:
        scored = [cell(network, horizon, schedule, tried.best, seed) for seed in SEEDS]
        yield from missing(scored, results)


def expected_cells(unit: Unit) -> int:
    """Return about how many cells a unit has, for estimates of time."""
    points = 2 * HALF_GRID + 1
    if unit.linear:
        return points * len(TUNING_SEEDS[LINEAR]) + len(SEEDS)
    others = len(TUNED) - 1
    return others * (points + len(SEEDS)) + len(SEEDS) * (len(UNTUNED) + len(PACKAGES))
