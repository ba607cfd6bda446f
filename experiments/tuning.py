"""Run baselines on fixed problems; tune each; find the best of many in hindsight."""

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import numpy as np
import torch

from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.agents.problem_sets import Role, problem_set
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe
from lrpilot.envs.process import DIVERGED_AT, FLOOR, Process
from lrpilot.experiments.baselines import BASELINES, ORACLE_RANGE, UNITS, Candidate, Unit, all_grids, grid

Tick = Callable[[int], None]
Control = Callable[[int, Floats], Floats]  # number of a step, losses of the one before -> its LRs
SIDE_BY_SIDE = 8  # schedules that one process runs at once on the same problems


def run_baselines(candidates: Sequence[Candidate], recipe: Recipe, role: Role, size: int) -> Floats:
    """Run baselines side by side on the fixed problems of a role, step by step, under the same guard as the policies.

    Args:
        candidates: C schedules; all meet the same noise.
        recipe: The distribution of problems.
        role: Which problems.
        size: How many.

    Returns:
        log f over f at the start, at each decision and at the end, shape (C, K + 1, size); a run that diverged counts
        as tenfold worse.
    """
    processes = problem_set(recipe, role, size, replicas=len(candidates))
    return np.concatenate([run_side_by_side(candidates, process) for process in processes], -1)


def run_side_by_side(candidates: Sequence[Candidate], process: Process) -> Floats:
    """Run C schedules on the C replicas of each problem of a process that was just reset; see `run_baselines`."""
    steps = int(process.times[-1])
    progress = np.arange(steps) / steps
    lrs = np.stack([candidate.multiplier(progress) * candidate.base_lr for candidate in candidates], 1)  # (T, C)
    problems = process.task.batch_size // len(candidates)
    in_bounds = np.tile([candidate.unit == "bound" for candidate in candidates], problems)
    return run_controlled(
        lambda step, _: np.tile(lrs[step], problems) * np.where(in_bounds, process.reference, 1.0),
        process,
        len(candidates),
    )


def run_controlled(control: Control, process: Process, count: int) -> Floats:
    """Run a process that was just reset, step by step, under any rule.

    Args:
        control: Returns the LRs of a step, shape (runs,), from its number and the losses of the step before (of the
            first step: ones).
        process: Its runs, `count` for each problem.
        count: C.

    Returns:
        As `run_baselines`.
    """
    curve, losses = [process.task.objective()], np.ones(process.task.batch_size)
    for step in range(process.times[-1]):
        losses = advance(process, control(step, losses))
        if step + 1 in process.times:
            curve.append(process.task.objective())
    return by_setting(log_losses(curve, FLOOR), count)


def advance(process: Process, lr: Floats) -> Floats:
    """Make one SGD step of each run with the LR that the limits leave of the wanted one.

    Args:
        process: Its runs.
        lr: Wanted LR per step, shape (B,).

    Returns:
        The mini-batch losses before the step, shape (B,).
    """
    process.lr = process.limits.clip(lr, process.reference)
    losses = process.task.sgd_step(process.lr)
    process.reference = process.task.reference()
    return losses


def log_losses(curve: Sequence[Floats], floor: float) -> Floats:
    """Return log f over f at the start; a run that diverged counts as tenfold worse at that moment.

    Args:
        curve: Objectives of the runs, the first at the start, M arrays of shape (B,).
        floor: Share of the start that smaller objectives count as.

    Returns:
        Shape (M, B), in nats.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        log_loss = np.log(np.maximum(np.array(curve) / curve[0], floor))
    diverged = ~np.isfinite(log_loss) | (log_loss > np.log(DIVERGED_AT))
    return np.where(diverged, DIVERGED_SCORE, log_loss)


def by_setting(of_runs: Floats, count: int) -> Floats:
    """Sort rows of B = P·C runs by setting: (M, B) -> (C, M, P)."""
    return of_runs.reshape(len(of_runs), -1, count).transpose(2, 0, 1)


def _final(candidates: Sequence[Candidate], recipe: Recipe, role: Role, size: int) -> Floats:
    return run_baselines(candidates, recipe, role, size)[:, -1]


def run_all(
    candidates: Sequence[Candidate], recipe: Recipe, role: Role, size: int, tick: Tick = lambda _: None
) -> Floats:
    """Run many baselines, on several processes.

    Args:
        candidates: The schedules.
        recipe: The distribution of problems, and how many processes.
        role: Which problems.
        size: How many.
        tick: Called with the number of schedules just run, for progress bars.

    Returns:
        Final log losses, shape (len(candidates), size), in the order of the candidates.
    """
    work = partial(_final, recipe=recipe, role=role, size=size)
    blocks = [candidates[start : start + SIDE_BY_SIDE] for start in range(0, len(candidates), SIDE_BY_SIDE)]
    results = []
    context = get_context("spawn")
    with ProcessPoolExecutor(recipe.comparison.processes, context, torch.set_num_threads, (1,)) as pool:
        for result in pool.map(work, blocks):
            results.append(result)
            tick(len(result))
    return np.concatenate(results)


def tune(recipe: Recipe, tick: Tick = lambda _: None) -> dict[tuple[str, Unit], tuple[Candidate, float]]:
    """Tune every family in every unit, with the same budget, on the tuning problems.

    Args:
        recipe: The distribution of problems and the budget.
        tick: Called with the number of schedules just run.

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
