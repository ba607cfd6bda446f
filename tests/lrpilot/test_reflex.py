"""The reflex: what sets it off, what it does, and that run time and environment do the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrpilot import LearnedLR, PolicyError, SchedulePolicy, load_policy
from lrpilot.agents.evaluate import act_by
from lrpilot.envs import Decisions
from lrpilot.envs.process import Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.reflex import RISE, alarm, higher
from lrpilot.signals import Floats

ACTS = {"log_low": -8.0, "log_high": 2.0, "max_change": 0.5, "log_start": -1.0, "reflex": 3.0}
numbers = st.floats(0, 1e12) | st.sampled_from([math.nan, math.inf])


@settings(max_examples=200, deadline=None)
@given(losses=st.lists(numbers, min_size=1, max_size=30))
def test_many_runs_side_by_side_are_the_single_ones(losses: list[float]) -> None:
    highest, many = 0.0, np.zeros(3)
    for loss in losses:
        np.testing.assert_array_equal(alarm(np.full(3, loss), many), alarm(loss, highest))
        highest = max(highest, loss) if math.isfinite(loss) else highest
        many = higher(np.full(3, loss), many)
        np.testing.assert_array_equal(many, highest)


@pytest.fixture
def policy(policy_maker: Callable[..., SchedulePolicy]) -> SchedulePolicy:
    return policy_maker(action="multiple_of_base", decisions=6, **ACTS)


def test_the_lr_falls_at_once_and_once_for_each_new_height(policy: SchedulePolicy) -> None:
    schedule = policy.schedule(base_lr=1.0, horizon=120)
    start = schedule.lr
    assert schedule(1.0) == start  # there was none before
    assert schedule(RISE * 0.99) == start
    assert schedule(RISE**2) == pytest.approx(start * math.exp(-3))
    assert schedule(RISE**2) == pytest.approx(start * math.exp(-3))  # no higher than before
    assert schedule(0.1) == pytest.approx(start * math.exp(-3))
    assert schedule(RISE**4) == pytest.approx(start * math.exp(-6))
    assert schedule(math.nan) == pytest.approx(math.exp(-8))  # the lowest


def test_noticing_a_loss_twice_is_noticing_it_once(policy: SchedulePolicy) -> None:
    schedule = policy.schedule(base_lr=1.0, horizon=120)
    start = schedule.lr
    for loss in (1.0, 9.0):
        schedule.notice(loss)
        schedule.observe(loss)
        schedule.advance()
    assert schedule.lr == pytest.approx(start * math.exp(-3))


def test_the_parts_of_a_batch_count_as_their_mean(policy: SchedulePolicy) -> None:
    schedule = policy.schedule(base_lr=1.0, horizon=120)
    start = schedule(1.0)
    for part in (0.5, 2.4):
        schedule.observe(part)
    assert schedule.advance() == pytest.approx(start)
    for part in (0.5, 9.0):
        schedule.observe(part)
    assert schedule.advance() == pytest.approx(start * math.exp(-3))


def test_without_the_entry_in_the_card_there_is_none(policy_maker: Callable[..., SchedulePolicy]) -> None:
    acts = {key: value for key, value in ACTS.items() if key != "reflex"}
    policy = policy_maker(action="multiple_of_base", decisions=6, **acts)
    schedule = policy.schedule(base_lr=1.0, horizon=120)
    assert [schedule(loss) for loss in (1.0, 100.0, 1e9)] == 3 * [schedule.lr]
    assert policy.fingerprint != policy_maker(action="multiple_of_base", decisions=6, **ACTS).fingerprint


class Scripted(AbstractTask):
    """Runs whose losses are given in advance."""

    hidden_size, reference_name = 1, "base_lr"

    def __init__(self, losses: Floats) -> None:
        self.losses, self.batch_size, self.lrs = losses, losses.shape[1], []

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None: ...

    def sgd_step(self, lr: Floats) -> Floats:
        self.lrs.append(lr.copy())
        return self.losses[len(self.lrs) - 1]

    def gradient_sq(self) -> Floats:
        return np.full(self.batch_size, np.nan)

    def weights(self) -> NDArray[np.float32]:
        return np.ones((self.batch_size, 1), np.float32)

    gradients = weights

    def reference(self) -> Floats:
        return np.ones(self.batch_size)

    objective = reference

    def hidden(self) -> Floats:
        return np.ones((self.batch_size, 1))


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_run_time_and_environment_set_the_same_lrs(policy_maker: Callable[..., SchedulePolicy], power: float) -> None:
    policy = policy_maker(action="multiple_of_base", decisions=6, power=power, **ACTS)
    losses = np.random.default_rng(0).lognormal(0, 1.0, (120, 5))
    losses[50, 1] = np.nan
    task = Scripted(losses)
    process = Process(task, Decisions(6, (20,), guard="off", loss_only=1.0, power=power, **ACTS))  # type: ignore[arg-type]
    process.seed(0)
    process.reset()
    for decision in range(6):
        process.step(act_by(policy)(process.observation().T, decision))
    lrs = np.array(task.lrs)
    for run in (0, 2, 3, 4):
        schedule = policy.schedule(base_lr=1.0, horizon=120)
        np.testing.assert_allclose([schedule.lr, *map(schedule, losses[:-1, run])], lrs[:, run], rtol=1e-5)
    assert (np.diff(np.log(lrs), axis=0) < -2.9).sum() > 5
    fell = np.log(lrs[51, 1] / lrs[50, 1])  # the run-time also backs off at the next decision, the environment does not
    assert fell == pytest.approx(-3.0) or lrs[51, 1] == pytest.approx(math.exp(-8))


def test_a_scheduler_reacts_before_the_next_decision(policy: SchedulePolicy) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = LearnedLR(optimizer, policy, horizon=120)
    start = scheduler.get_last_lr()[0]
    for loss in (1.0, torch.tensor(9.0)):
        optimizer.step()
        scheduler.step(loss)
    assert scheduler.get_last_lr()[0] == pytest.approx(start * math.exp(-3))


@pytest.mark.parametrize("reflex", [-1.0, 0.0, 21.0, "3"])
def test_the_card_is_checked(policy_maker: Callable[..., SchedulePolicy], tmp_path: Path, reflex: object) -> None:
    policy_maker(**{**ACTS, "reflex": reflex}).save(tmp_path / "bad.safetensors")
    with pytest.raises(PolicyError, match="'reflex'"):
        load_policy(tmp_path / "bad.safetensors")


@pytest.mark.parametrize("wrong", [{"reflex": 0.0}, {"reflex": 3.0, "max_change": None}])
def test_the_recipe_is_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="reflex must be above 0"):
        Decisions(**{**ACTS, **wrong})  # type: ignore[arg-type]
