"""Guidance: costs of LRs that were tried, and an actor that learns to infer the right one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from stable_baselines3.common.logger import configure

from lrpilot import load_policy
from lrpilot.agents import train as training
from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.agents.guided import BEYOND, LARGEST_COST, SLOPE, interpolated
from lrpilot.agents.problem_sets import training_pool
from lrpilot.agents.run import Run
from lrpilot.agents.train import new_model, train
from lrpilot.configs import Recipe, load_recipe
from lrpilot.envs.families import make_process
from lrpilot.envs.process import GUIDE_SIZE, GUIDE_UNIT
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.envs.tasks.base import TRIED, AbstractTask
from lrpilot.envs.tasks.micro.problems import MicroProblems
from lrpilot.envs.tasks.micro.task import MicroTask
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nets.task import NetTask

COSTS = torch.tensor([[9.0, 1.0, 0.5, 0.0, 0.25, 1.0, 9.0, 9.0]])
SPACING = TRIED[1] - TRIED[0]
SMALL = ["ppo.guidance=2", "ppo.processes=1", "decisions.horizons=[60,70]", "ppo.iterations=3", "validation.every=3"]
SMALL += ["problems.classes=[perceptron, bag]"]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("universal", SMALL, smoke=True)


def test_costs_are_those_at_the_lrs_that_were_tried_and_rise_beyond_them() -> None:
    place = torch.from_numpy(np.append(TRIED, [TRIED[0] - 1, TRIED[-1] + 1])).float()
    found = interpolated(COSTS.expand(10, -1), place)
    slope = SLOPE * np.abs(TRIED - TRIED[3])
    capped = COSTS[0].clamp(max=LARGEST_COST).numpy()
    np.testing.assert_allclose(found[:8].numpy(), capped + slope, rtol=1e-5)
    assert found[8:].tolist() == pytest.approx([float(found[0]) + BEYOND, float(found[7]) + BEYOND], rel=1e-5)


def test_costs_have_a_slope_towards_the_best_lr_everywhere() -> None:
    place = torch.linspace(-9, 9, 101, requires_grad=True)
    interpolated(COSTS.expand(101, -1), place).sum().backward()  # type: ignore[no-untyped-call]
    assert place.grad is not None
    off = (place.detach() - float(TRIED[3])).abs() > 0.1
    assert (place.grad.sign() == (place.detach() - float(TRIED[3])).sign())[off].all()


def micro_task() -> AbstractTask:
    return MicroTask(MicroProblems(classes=("perceptron",), optimizers=("sgd",)), 6, (), 2)


def net_task() -> AbstractTask:
    return NetTask(NetProblems(alike=2, data=("digits_flat",), architectures=("mlp",), samples=(32, 90)), 6, (), 2)


@pytest.mark.parametrize("make", [micro_task, net_task])
def test_lrs_that_are_tried_leave_the_task_as_it_was(make: Callable[[], AbstractTask]) -> None:
    tasks = [make() for _ in range(2)]
    for task in tasks:
        task.reset(np.random.default_rng(4))
    tried = tasks[0].tried_lrs(40)
    for _ in range(40):
        losses = [task.sgd_step(0.1 * task.reference()) for task in tasks]
        np.testing.assert_array_equal(*losses)
    assert tried.costs.shape == (6, len(TRIED))
    np.testing.assert_array_equal(tried.costs.min(1), 0)
    np.testing.assert_array_equal(tried.costs[::2], tried.costs[1::2])  # replicas
    assert tried.costs.max() > 0.1
    right = tasks[0].reference() / np.exp(tried.base)
    errors = np.exp(TRIED[[0, 3, 0, 3, 0, 3]])
    for task in tasks[1:]:
        task.reset(np.random.default_rng(4))
        task.set_lr_error(errors)
        np.testing.assert_allclose(task.reference(), right * errors)
        initial = task.objective()
        for step in range(40):
            task.sgd_step(task.reference() * (1 - step / 40))
        np.testing.assert_allclose(
            np.subtract(*np.log(task.objective() / initial).reshape(3, 2).T),
            np.subtract(*tried.costs[::2, [0, 3]].T),
            atol=1e-4,
        )


def test_a_task_that_cannot_try_lrs_says_what_to_set() -> None:
    with pytest.raises(ValueError, match=r"NMFTask can't try LRs .* set ppo\.guidance to 0"):
        make_process("nmf", 2, guided=True).reset()


def test_the_cost_that_is_predicted_is_the_one_that_a_run_then_has() -> None:
    """Linear decay from a multiple that an action sets at the start ends as the LR that was tried there."""
    recipe = load_recipe("universal", [*SMALL, "decisions.first_interval=null", "decisions.max_change=20"], smoke=True)
    process = make_process("universal", 8, recipe.problems, recipe.decisions, replicas=8, guided=True)
    process.seed(1)
    process.reset()
    hidden = process.hidden()
    assert hidden.shape == (8, process.hidden_size)
    place = GUIDE_UNIT * hidden[:, 0]
    np.testing.assert_allclose(place, process.multiple.log + process.tried.base, rtol=1e-5)
    np.testing.assert_allclose(hidden[:, 1:GUIDE_SIZE], process.tried.costs.clip(max=4), rtol=1e-5)
    process.step((TRIED - place) / 20)
    while not process.over.all():
        process.step(np.zeros(8))
    ratio = np.log((process.task.objective() / process._initial).clip(3e-3, 10))
    useful = process.tried.costs[0] < 0.9  # there no loss is a spike
    np.testing.assert_allclose((ratio - ratio.min())[useful], process.tried.costs[0][useful], atol=0.02)


def test_guidance_lowers_the_expected_cost_and_reads_no_cost_in_use(recipe: Recipe, tmp_path: Path) -> None:
    env = BatchedVecEnv(training_pool(recipe), True, recipe.ppo.replicas, signals=recipe.signals, autoreset=False)
    model = new_model(recipe, env)
    model.set_logger(configure(str(tmp_path), []))
    env.seed(0)
    model.learn(recipe.ppo.parallel * recipe.decisions.decisions)
    policy = model.policy
    assert isinstance(policy, AsymmetricPolicy)

    def cost() -> float:
        batch = next(model.rollout_buffer.get())
        return float(model._cost(policy, batch.observations).detach())

    before = cost()
    for _ in range(5):
        model._guide()
    assert cost() < before - 0.01
    seen = len(recipe.signals)
    observation = torch.zeros(1, seen + GUIDE_SIZE)
    changed = observation + torch.cat([torch.zeros(seen), torch.ones(GUIDE_SIZE)])
    assert policy.mean_action(observation) == policy.mean_action(changed)


def test_a_killed_guided_run_resumes_to_the_same_bits(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(Run.start(recipe, tmp_path, "whole"), QUIET)
    broken = Run.start(recipe, tmp_path, "broken")
    original: Any = training._Iterations._on_rollout_start

    def dies_in_the_second(self: Any) -> None:
        original(self)
        if self.iteration == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Iterations, "_on_rollout_start", dies_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(broken, QUIET)
    monkeypatch.undo()
    assert train(Run.reopen(broken.folder), QUIET).fingerprint == whole.fingerprint
    assert load_policy(broken.best).fingerprint == whole.fingerprint
