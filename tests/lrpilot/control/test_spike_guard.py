"""The spike guard: what sets it off, what it does, and that run time and environment do the same."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lrpilot import LearnedLR, PolicyError, SchedulePolicy
from lrpilot.agents.evaluate import act_by
from lrpilot.arrays import Floats
from lrpilot.control import SPIKE, Control, is_spike
from lrpilot.envs import Decisions
from lrpilot.envs.process import Process
from lrpilot.envs.tasks.base import AbstractTask

ACTS = {"log_low": -8.0, "log_high": 2.0, "max_change": 0.5, "log_start": -1.0, "spike_guard": 3.0}
CONTROL = Control(**ACTS)  # type: ignore[arg-type]
numbers = st.floats(0, 1e12) | st.sampled_from([math.nan, math.inf])


@settings(max_examples=200, deadline=None)
@given(losses=st.lists(numbers, min_size=1, max_size=30))
def test_many_runs_side_by_side_are_the_single_ones(losses: list[float]) -> None:
    highest, many = 0.0, np.zeros(3)
    for loss in losses:
        np.testing.assert_array_equal(is_spike(np.full(3, loss), many), is_spike(loss, highest))
        highest = max(highest, loss) if math.isfinite(loss) else highest
        many = CONTROL.after_loss(np.zeros(3), np.full(3, loss), many)[1]
        np.testing.assert_array_equal(many, highest)


@pytest.fixture
def policy(policy_maker: Callable[..., SchedulePolicy]) -> SchedulePolicy:
    return policy_maker(action="multiple_of_base", decisions=6, **ACTS)


def test_the_lr_falls_at_once_and_once_for_each_new_height(policy: SchedulePolicy) -> None:
    schedule = policy.schedule(base_lr=1.0, horizon=120)
    start = schedule.lr
    assert schedule(1.0) == start  # there was none before
    assert schedule(SPIKE * 0.99) == start
    assert schedule(SPIKE**2) == pytest.approx(start * math.exp(-3))
    assert schedule(SPIKE**2) == pytest.approx(start * math.exp(-3))  # no higher than before
    assert schedule(0.1) == pytest.approx(start * math.exp(-3))
    assert schedule(SPIKE**4) == pytest.approx(start * math.exp(-6))
    assert schedule(math.nan) == pytest.approx(math.exp(-8))  # the lowest


def test_losses_of_many_steps_at_once_are_those_of_each(policy: SchedulePolicy) -> None:
    one, many = (policy.schedule(base_lr=1.0, horizon=120) for _ in range(2))
    for loss in (1.0, 9.0, math.nan, 30.0):
        one.enter([loss])
    many.enter([1.0, 9.0, math.nan, 30.0])
    assert one.state() == many.state()


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
    acts = {key: value for key, value in ACTS.items() if key != "spike_guard"}
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


@pytest.mark.parametrize("timing", [{"power": 1.0}, {"power": 2.0}, {"first_interval": 4}])
def test_run_time_and_environment_set_the_same_lrs(
    policy_maker: Callable[..., SchedulePolicy], timing: dict[str, Any]
) -> None:
    policy = policy_maker(action="multiple_of_base", decisions=6, **timing, **ACTS)
    losses = np.random.default_rng(0).lognormal(0, 1.0, (120, 5))
    losses[50, 1] = np.nan
    task = Scripted(losses)
    process = Process(task, Decisions(6, (20,), guard="off", loss_only=1.0, **timing, **ACTS))
    process.seed(0)
    process.reset()
    for decision in range(6):
        process.step(act_by(policy)(process.observation().T, decision))
    lrs = np.array(task.lrs)
    for run in range(5):
        schedule = policy.schedule(base_lr=1.0, horizon=120)
        np.testing.assert_allclose([schedule.lr, *map(schedule, losses[:-1, run])], lrs[:, run], rtol=1e-5)
    assert (np.diff(np.log(lrs), axis=0) < -2.9).sum() > 5
    assert lrs[51, 1] < lrs[50, 1]  # the loss that is not finite counts as a spike, and makes the LR back off later


def test_a_scheduler_reacts_before_the_next_decision(policy: SchedulePolicy) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = LearnedLR(optimizer, policy, horizon=120)
    start = scheduler.get_last_lr()[0]
    for loss in (1.0, torch.tensor(9.0)):
        optimizer.step()
        scheduler.step(loss)
    assert scheduler.get_last_lr()[0] == pytest.approx(start * math.exp(-3))


@pytest.mark.parametrize("spike_guard", [-1.0, 0.0, 21.0, "3"])
def test_the_card_is_checked(policy_maker: Callable[..., SchedulePolicy], spike_guard: object) -> None:
    with pytest.raises(PolicyError, match="'spike_guard'"):
        policy_maker(**{**ACTS, "spike_guard": spike_guard})
    with pytest.raises(PolicyError, match="'spike_guard'"):
        policy_maker(**{**{k: v for k, v in ACTS.items() if k != "spike_guard"}, "reflex": spike_guard})


@pytest.mark.parametrize("wrong", [{"spike_guard": 0.0}, {"spike_guard": 3.0, "max_change": None}])
def test_the_recipe_is_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="spike_guard must be None or, with a max_change, a positive number"):
        Decisions(**{**ACTS, **wrong})  # type: ignore[arg-type]
