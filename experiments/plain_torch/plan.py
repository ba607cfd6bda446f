"""Which runs are needed: grids of base LRs for the baselines, extended until the best one is inside, then seeds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from lrpilot.experiments.plain_torch.cell import Cell, Result
from lrpilot.experiments.plain_torch.network import Network, Tuning
from lrpilot.experiments.plain_torch.schedules import PACKAGES, TUNED
from lrpilot.experiments.plain_torch.store import missing

HORIZONS, LONG = (100, 300, 1000, 3000), 10_000  # steps of all networks, and of those that are marked `long`
ORDER = ((300, 1000), (3000, 100), (LONG,))  # horizons by how soon they are wanted
HALF_GRID = 4  # octaves from the middle of the grid to its ends: nine base LRs, a factor of 2 apart
MOST = 21  # base LRs that a grid is extended to at most
LINEAR = "linear"
UNTUNED = ("linear", "cosine")  # also run at the usual LR
SEEDS = (0, 1, 2)
TUNING = Tuning(
    tuned=TUNED,
    untuned=(*UNTUNED, *PACKAGES),
    spacing=1,
    half=HALF_GRID,
    linear_tuning_seeds=(100, 101),
    tuning_seeds=(100,),
    seeds=SEEDS,
)  # of networks that don't say otherwise
OFF = 2  # octaves that linear must be tuned to on both sides: it is asked what a factor of four costs
OCTAVES_OFF = (-4, 0, 4)  # log2 of the base LR that a policy begins with, over that of tuned linear
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
        for network in at(networks, horizon)
        if horizon in horizons
    ]


def at(networks: list[Network], horizon: int) -> list[Network]:
    """Return the networks that are run for so many steps."""
    return [n for n in networks if (horizon == n.horizon if n.horizon else n.long or horizon != LONG)]


def own_horizons(networks: list[Network]) -> tuple[int, ...]:
    """Return the horizons of those networks that have one of their own, increasing."""
    return tuple(sorted({network.horizon for network in networks if network.horizon}))


def tuning(network: Network) -> Tuning:
    """Return which baselines a network has."""
    return network.tuning or TUNING


def tuning_seeds(network: Network, schedule: str) -> tuple[int, ...]:
    """Return the seeds that a schedule's base LR is tuned on."""
    return tuning(network).linear_tuning_seeds if schedule == LINEAR else tuning(network).tuning_seeds


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
        The grid, extended until its best base LR is inside: by a factor of four for linear, of which it is asked what
        that costs, by one point for others. Where all of the 21 points are used up, the best may be an end.
    """
    spacing = tuning(network).spacing
    margin = max(OFF, spacing) if schedule == LINEAR else spacing
    low, high = (middle + side * tuning(network).half * spacing for side in (-1, 1))
    while True:
        octaves = tuple(range(low, high + 1, spacing))
        to_run = missing(_tuning_cells(network, horizon, schedule, octaves), results)
        if to_run:
            return Grid(octaves, None, to_run)
        best = min(octaves, key=lambda octave: tuning_score(network, horizon, schedule, octave, results))
        below, above = max(0, margin - (best - low)), max(0, margin - (high - best))
        if not (below or above) or len(octaves) >= MOST:
            return Grid(octaves, best, [])
        low, high = low - below, high + above


def _tuning_cells(network: Network, horizon: int, schedule: str, octaves: tuple[int, ...]) -> list[Cell]:
    seeds = tuning_seeds(network, schedule)
    return [cell(network, horizon, schedule, octave, seed) for octave in octaves for seed in seeds]


def cell(network: Network, horizon: int, schedule: str, octave: int, seed: int, hidden: bool = False) -> Cell:
    """Return the cell of a run of a network."""
    return Cell(network.name, network.version, horizon, schedule, octave, seed, hidden)


def policy_cells(
    network: Network, horizon: int, fingerprint: str, seeds: Sequence[int], results: Results, hidden: bool = False
) -> list[Cell]:
    """Return the cells of a policy from each of its base LRs, in order of `OCTAVES_OFF` and of seeds.

    Args:
        network: What is trained.
        horizon: Steps.
        fingerprint: Of the policy.
        seeds: Of weights and mini-batches.
        results: What is known; linear must be tuned there.
        hidden: Whether gradients are hidden from the policy.
    """
    tuned = tuned_octave(network, horizon, LINEAR, results)
    assert tuned is not None  # linear is run first
    return [cell(network, horizon, fingerprint, tuned + off, seed, hidden) for off in OCTAVES_OFF for seed in seeds]


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
    for schedule in tuning(network).tuned:
        if schedule != LINEAR:
            other = grid(network, horizon, schedule, results, linear.best)
            yield from _with_seeds(network, horizon, schedule, other, results)
    plan = tuning(network)
    fixed = [cell(network, horizon, schedule, 0, seed) for schedule in plan.untuned for seed in plan.seeds]
    yield from missing(fixed, results)


def _with_seeds(network: Network, horizon: int, schedule: str, tried: Grid, results: Results) -> Iterator[Cell]:
    yield from tried.to_run
    if tried.best is not None:
        scored = [cell(network, horizon, schedule, tried.best, seed) for seed in tuning(network).seeds]
        yield from missing(scored, results)


def expected_cells(unit: Unit) -> int:
    """Return about how many cells a unit has, for estimates of time."""
    plan = tuning(unit.network)
    points, seeds = 2 * plan.half + 1, len(plan.seeds)
    if unit.linear:
        return points * len(plan.linear_tuning_seeds) + seeds
    return (len(plan.tuned) - 1) * (points * len(plan.tuning_seeds) + seeds) + seeds * len(plan.untuned)
