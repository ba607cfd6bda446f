"""The comparison on networks: learned schedules from base LRs that are wrong, against schedules tuned for each network.

Every network of the test set brings twice as many problems as are scored; they differ in samples, labels, initial
weights and mini-batches. On the first half each baseline's base LR is tuned, for this very network. The second half
is scored, by the loss on samples that neither training nor tuning saw.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lrpilot.agents.evaluate import DIVERGED_SCORE, Act, play
from lrpilot.agents.problem_sets import Role, make_process, role_seed
from lrpilot.arrays import Floats
from lrpilot.configs.recipe import NetRecipe
from lrpilot.envs.process import Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.experiments.baselines import Candidate
from lrpilot.experiments.greedy_runs import run_greedy
from lrpilot.experiments.tuning import run_side_by_side

ERRORS = (1 / 16, 1 / 4, 1.0, 4.0, 16.0)  # base LR over the one that linear-to-zero does best with
SHAPES = {
    "linear-to-zero": "to 0",
    "cosine": "to 0",
    "WSD": "decay 40 %",
    "step decay": "÷10 at ½, ¾",
    "exponential": "to 1 %",
    "constant": "1",
}
GREEDY = "GreedyLR"
FAMILIES = (*SHAPES, GREEDY)
LOWEST, HIGHEST = 2.0**-8, 2.0**4  # base LRs that are tried, in units of the LR that seems right at the start
SCORED = 4  # problems of each network that are scored; as many are tuned on
SOLVED = 1e-4  # of the first loss; test losses below it count as this

Tick = Callable[[], None]


@dataclass(frozen=True)
class Runs:
    """Whole runs of C schedules on P problems.

    Attributes:
        curve: log of the loss on held-out samples over that at the start, at each decision and the end, (C, K + 1, P).
        final: log of the loss on test samples over that at the start, shape (C, P); between log
            SOLVED and log 10.
        failed: Which runs ended tenfold worse than they began, or nowhere, shape (C, P).
        log_multiple: Mean log of LR over base LR in each interval, shape (C, K, P); of policies only.
        action: What the policy chose, likewise.
    """

    curve: Floats
    final: Floats
    diverged: NDArray[np.bool_]
    log_multiple: Floats
    action: Floats

    def map(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Runs:
        """Return these runs with each attribute changed alike."""
        return Runs(*map(change, (self.curve, self.final, self.diverged, self.log_multiple, self.action)))

    def tuning(self) -> Runs:
        """Return the first half of each network's problems."""
        return self.map(partial(_half, which=0))

    def scored(self) -> Runs:
        """Return the second half of each network's problems."""
        return self.map(partial(_half, which=1))

    def of_settings(self, setting: NDArray[np.int64]) -> Runs:
        """Return for each network the runs of one of the C schedules, shapes (1, …, P)."""
        which, problems = np.repeat(setting, SCORED), np.arange(self.final.shape[-1])
        return self.map(lambda part: np.moveaxis(part[which, ..., problems], 0, -1)[None])


def _half(of_problems: NDArray[Any], which: int) -> NDArray[Any]:
    *front, problems = of_problems.shape
    split = of_problems.reshape(*front, problems // (2 * SCORED), 2, SCORED)
    return split[..., which, :].reshape(*front, problems // 2)


def unseen_networks(recipe: NetRecipe, count: int, replicas: int, role: Role, loss_only: bool = False) -> Process:
    """Return the problems of the test networks at their start, each with C replicas.

    Args:
        recipe: The distribution of problems and how decisions are made.
        count: Networks.
        replicas: C.
        role: "test"; "validation" while something is being chosen.
        loss_only: Hide gradients and weights, for schedules that do not look at them.

    Returns:
        The process: 2 · SCORED problems for each network, C runs for each problem; base LRs are those that seem right.
    """
    alike = replace(recipe.problems, alike=2 * SCORED)
    runs = count * 2 * SCORED * replicas
    process = make_process(recipe.model_copy(update={"problems": alike}), role, runs, loss_only, replicas)
    process.seed(role_seed(role, count))
    process.reset()
    return set_lr_error(process, np.ones(runs))


def set_lr_error(process: Process, error: Floats) -> Process:
    """Begin with base LRs that are wrong: those that seem right times an error, shape (runs,); returns the process."""
    process.task.set_lr_error(error)
    process.reference = process.task.reference()
    return process


def run_family(family: str, multiples: Floats, process: Process) -> Runs:
    """Run a family of schedules from several base LRs.

    Args:
        family: One of `FAMILIES`.
        multiples: Base LRs in units of those of the process, shape (C,), one for each replica.
        process: At its start.

    Returns:
        The record, without log multiples.
    """
    start = process.task.test_loss()
    if family == GREEDY:
        curve = run_greedy(multiples, process)
    else:
        candidates = [Candidate(family, SHAPES[family], "bound", float(multiple)) for multiple in multiples]
        curve = run_side_by_side(candidates, process)
    nothing: Floats = np.zeros((len(multiples), 0, curve.shape[-1]))
    return _runs(process.task, start, curve, nothing, nothing)


def run_policy(act: Act, process: Process, replicas: int) -> Runs:
    """Run a policy from the base LRs of the process; the same return as `run_family`."""
    start = process.task.test_loss()
    episodes = play(act, process)
    recorded = (episodes.log_loss, episodes.log_multiple, episodes.action)
    return _runs(process.task, start, *(part.reshape(len(part), -1, replicas).transpose(2, 0, 1) for part in recorded))


def _runs(task: AbstractTask, start: Floats, curve: Floats, log_multiple: Floats, action: Floats) -> Runs:
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.log(np.maximum(task.test_loss() / start, SOLVED)).reshape(-1, len(curve)).T
    diverged = ~(ratio < DIVERGED_SCORE)
    return Runs(curve, np.where(diverged, DIVERGED_SCORE, ratio), diverged, log_multiple, action)


@dataclass
class NetworkResults:
    """All runs on the test networks; N networks with SCORED problems each, P = N · SCORED scored problems.

    Attributes:
        base_lrs: That every family is tuned over, for each network, in units of the LR that seems right at its start.
        shares: Share of the horizon at each decision and at the end, shape (K + 1,).
        tuned: By family, its runs with the base LR tuned for each network, shapes (1, …, P).
        setting: By family, the index of that base LR for each network, shape (N,).
        tuned_once: By family, its runs with the one base LR that is best over all networks, shapes (1, …, P); networks
            differ in what seems right, and it is in units of that.
        setting_once: By family, the index of that base LR.
        learned: By policy, runs from each of the errors, shapes (len(ERRORS), …, P).
        misled: By family, runs from base LRs that are wrong by each of the errors.
        hindsight: Test loss of the best of all schedules for each problem, shape (P,).
    """

    base_lrs: Floats
    shares: Floats
    tuned: dict[str, Runs] = field(default_factory=dict)
    setting: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    tuned_once: dict[str, Runs] = field(default_factory=dict)
    setting_once: dict[str, int] = field(default_factory=dict)
    learned: dict[str, Runs] = field(default_factory=dict)
    from_wrong_lrs: dict[str, Runs] = field(default_factory=dict)
    hindsight: Floats = field(default_factory=lambda: np.zeros(0))

    @property
    def right(self) -> Floats:
        """Tuned base LR of linear-to-zero for each network, in units of the one that seems right, shape (N,)."""
        return self.base_lrs[self.setting["linear-to-zero"]]


def compare_networks(
    recipe: NetRecipe,
    acts: dict[str, Act],
    networks: int,
    role: Role = "test",
    tick: Tick = lambda: None,
    families: Sequence[str] = FAMILIES,
) -> NetworkResults:
    """Tune every baseline for every network, then run all from right and wrong base LRs.

    Args:
        recipe: The distribution of problems, how decisions are made, and how many processes.
        acts: Policies by name.
        networks: N.
        role: Which networks.
        tick: Called after each of 2 · len(families) + len(acts) parts.
        families: Of baselines, some of `FAMILIES`, linear-to-zero among them.

    Returns:
        The results.
    """
    moments = np.array([*recipe.decisions.times(recipe.horizon), recipe.horizon])
    results = NetworkResults(base_lrs(recipe), moments / recipe.horizon)
    with ProcessPoolExecutor(recipe.comparison.processes, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        grids = {}
        for family, runs in zip(families, pool.map(partial(_grid, recipe, networks, role), families), strict=True):
            grids[family] = runs
            tick()
        _choose(results, grids)
        from_wrong_lrs = pool.map(partial(_from_wrong_lrs, recipe, results.right, role), families)
        for family, runs in zip(families, from_wrong_lrs, strict=True):
            results.from_wrong_lrs[family] = runs.scored()
            tick()
    for name, act in acts.items():
        results.learned[name] = run_from_wrong(act, recipe, results.right, role)
        tick()
    return results


def base_lrs(recipe: NetRecipe) -> Floats:
    """Return the base LRs that every family is tuned over, in units of the LR that seems right, log-spaced."""
    return np.geomspace(LOWEST, HIGHEST, recipe.comparison.base_lrs)


def run_from_wrong(act: Act, recipe: NetRecipe, right: Floats, role: Role = "test", loss_only: bool = False) -> Runs:
    """Run a policy from each of the wrong base LRs.

    Args:
        act: The policy.
        recipe: As for `compare_networks`.
        right: Tuned base LR of linear-to-zero for each network, in units of the one that seems right, shape (N,).
        role: Which networks.
        loss_only: Hide gradients and weights from it.

    Returns:
        Its runs on the scored problems, C = len(ERRORS).
    """
    return run_policy(act, _wrong_base_lrs(recipe, right, role, loss_only), len(ERRORS)).scored()


def _choose(results: NetworkResults, grids: dict[str, Runs]) -> None:
    """For each family the base LR with the lowest held-out loss on the tuning problems: of each network, and of all."""
    for family, runs in grids.items():
        losses = runs.tuning().curve[:, -1]
        results.setting[family] = losses.reshape(len(results.base_lrs), -1, SCORED).mean(2).argmin(0)
        results.tuned[family] = runs.scored().of_settings(results.setting[family])
        results.setting_once[family] = once = int(losses.mean(1).argmin())
        results.tuned_once[family] = runs.scored().of_settings(np.full_like(results.setting[family], once))
    results.hindsight = np.min([runs.scored().final.min(0) for runs in grids.values()], 0)


def _grid(recipe: NetRecipe, networks: int, role: Role, family: str) -> Runs:
    multiples = base_lrs(recipe)
    return run_family(family, multiples, unseen_networks(recipe, networks, len(multiples), role, True))


def _from_wrong_lrs(recipe: NetRecipe, right: Floats, role: Role, family: str) -> Runs:
    return run_family(family, np.ones(len(ERRORS)), _wrong_base_lrs(recipe, right, role, True))


def _wrong_base_lrs(recipe: NetRecipe, right: Floats, role: Role, loss_only: bool) -> Process:
    """Problems with one replica for each error; `right` is by network, shape (N,)."""
    process = unseen_networks(recipe, len(right), len(ERRORS), role, loss_only)
    return set_lr_error(process, np.outer(np.repeat(right, 2 * SCORED), ERRORS).ravel())
