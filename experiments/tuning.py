"""Run baselines on fixed problems; tune each; find the best of many in hindsight."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from lrpilot.agents.problem_sets import Role, problem_set
from lrpilot.configs import Recipe
from lrpilot.envs.process import EXPLODED, FLOOR, Process
from lrpilot.experiments.baselines import BASELINES, ORACLE_RANGE, UNITS, Candidate, Unit, all_grids, grid
from lrpilot.signals import Floats

Tick = Callable[[], None]


def run_baseline(candidate: Candidate, recipe: Recipe, role: Role, size: int) -> Floats:
    """Run one baseline on the fixed problems of a role, step by step, under the same guard as the policies.

    Args:
        candidate: The schedule.
        recipe: The distribution of problems.
        role: Which problems.
        size: How many.

    Returns:
        log f over f at the start, at each decision and at the end, shape (K + 1, size); a run that exploded counts
        as no progress.
    """
    return np.concatenate([_run(candidate, process) for process in problem_set(recipe, role, size)], 1)


def _run(candidate: Candidate, process: Process) -> Floats:
    start = process.task.objective()
    steps = process.config.decisions * process.steps
    curve = [start]
    for step, multiplier in enumerate(candidate.multiplier(np.arange(steps) / steps) * candidate.base_lr, 1):
        process.advance(multiplier * (process.reference if candidate.unit == "bound" else np.ones_like(start)))
        if step % process.steps == 0:
            curve.append(process.task.objective())
    log_loss = np.log(np.maximum(np.array(curve) / start, FLOOR))
    exploded = ~np.isfinite(log_loss) | (log_loss > np.log(EXPLODED))
    return np.where(exploded, 0.0, log_loss)


def _final(candidate: Candidate, recipe: Recipe, role: Role, size: int) -> Floats:
    final: Floats = run_baseline(candidate, recipe, role, size)[-1]
    return final


def run_all(
    candidates: Sequence[Candidate], recipe: Recipe, role: Role, size: int, tick: Tick = lambda: None
) -> Floats:
    """Run many baselines, on several processes.

    Args:
        candidates: The schedules.
        recipe: The distribution of problems, and how many processes.
        role: Which problems.
        size: How many.
        tick: Called after each schedule, for progress bars.

    Returns:
        Final log losses, shape (len(candidates), size), in the order of the candidates.
    """
    work = partial(_final, recipe=recipe, role=role, size=size)
    rows = []
    context = get_context("spawn")
    with ProcessPoolExecutor(recipe.comparison.processes, context, torch.set_num_threads, (1,)) as pool:
        for row in pool.map(work, candidates):
            rows.append(row)
            tick()
    return np.array(rows)


def tune(recipe: Recipe, tick: Tick = lambda: None) -> dict[tuple[str, Unit], tuple[Candidate, float]]:
    """Tune every family in every unit, with the same budget, on the tuning problems.

    Args:
        recipe: The distribution of problems and the budget.
        tick: Called after each schedule.

    Returns:
        For each family and unit the candidate with the lowest mean final log loss, and that mean.
    """
    candidates = list(all_grids(recipe.comparison.base_lrs))
    scores = run_all(candidates, recipe, "tuning", recipe.comparison.tuning_problems, tick).mean(1)
    best: dict[tuple[str, Unit], tuple[Candidate, float]] = {}
    for candidate, score in zip(candidates, scores, strict=True):
        key = (candidate.family, candidate.unit)
        if key not in best or score < best[key][1]:
            best[key] = (candidate, float(score))
    return best


def oracle_candidates(tuned: dict[tuple[str, Unit], tuple[Candidate, float]], base_lrs: int) -> list[Candidate]:
    """Return the schedules that the hindsight oracle chooses from: each family's tuned shape at every base LR."""
    chosen = {family: tuned[family, "bound"][0].shape for family in BASELINES}
    lrs = np.geomspace(*ORACLE_RANGE, base_lrs)
    return [Candidate(family, shape, "bound", float(lr)) for family, shape in chosen.items() for lr in lrs]


def runs_to_tune(base_lrs: int) -> int:
    """Number of schedules that `tune` runs."""
    return sum(len(grid(family, unit, base_lrs)) for family in BASELINES for unit in UNITS)
