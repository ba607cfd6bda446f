"""The framework-free schedule: timing, bounds, bad losses, exact resuming."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrpilot import SchedulePolicy, load_policy

Maker = Callable[..., SchedulePolicy]


def drive(schedule: Any, losses: list[float]) -> list[float]:
    return [schedule.lr, *(schedule(loss) for loss in losses)]


def test_contract_example() -> None:
    schedule = load_policy("nmf").schedule(base_lr=0.1, horizon=1_000)
    lrs = drive(schedule, list(np.geomspace(10, 1, 1_000)))
    assert all(0 < lr <= 0.1 for lr in lrs)
    assert len(set(lrs)) > 5


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@pytest.mark.parametrize("horizon", [1, 7, 40, 200, 239, 1_003])
def test_decisions_come_every_horizon_over_decisions_calls(policy: SchedulePolicy, horizon: int) -> None:
    schedule = policy.schedule(1.0, horizon)
    lrs = drive(schedule, [1 / (1 + k) for k in range(horizon + 10)])
    interval = max(1, horizon // 40)
    for call in range(1, horizon):
        assert (lrs[call] != lrs[call - 1]) <= (call % interval == 0)
    assert len(set(lrs[horizon - 1 :])) == 1  # the last value holds


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@pytest.mark.filterwarnings("ignore:10 losses in a row:UserWarning")
@pytest.mark.filterwarnings("ignore:losses :UserWarning")
@settings(max_examples=50, deadline=None)
@given(
    stream=st.lists(st.one_of(st.floats(), st.sampled_from([0.0, -1.0, math.inf, math.nan])), min_size=50, max_size=50),
    bounds=st.lists(st.floats(1e-6, 1e6), min_size=51, max_size=51),
)
def test_strict_guard_holds_for_any_losses_and_bounds(stream: list[float], bounds: list[float]) -> None:
    from tests.conftest import make_policy

    remaining, last = iter(bounds), [0.0]

    def bound() -> float:
        last[0] = next(remaining)
        return last[0]

    schedule = make_policy(log_high=2.0).schedule(1.0, 45, bound=bound, lr_min=1e-3)
    for loss in stream:
        assert 0 < schedule.lr <= last[0]
        schedule(loss)


def test_bound_that_fails_leaves_the_last_good_one(policy: SchedulePolicy) -> None:
    values = iter([2.0, math.nan, 0.0, math.inf])
    schedule = policy.schedule(1.0, 400, bound=lambda: next(values))
    first = schedule.lr
    assert [schedule(1.0) for _ in range(3)] == [first] * 3
    with pytest.raises(ValueError, match="bound\\(\\) returned nan before the first step"):
        policy.schedule(1.0, 100, bound=lambda: math.nan)


def test_lr_follows_the_unit_of_the_bound(policy: SchedulePolicy) -> None:
    losses = list(np.geomspace(5, 1, 200))
    small = drive(policy.schedule(1.0, 200, bound=lambda: 0.25), losses)
    large = drive(policy.schedule(1.0, 200, bound=lambda: 256.0), losses)
    np.testing.assert_allclose(np.array(large) / small, 1024.0)


def test_non_finite_losses_are_skipped_counted_and_answered(policy_maker: Maker) -> None:
    policy = policy_maker(log_low=-0.001, log_high=0.0)
    schedule = policy.schedule(1.0, 400)
    lrs = drive(schedule, [1.0] * 20 + [math.nan] + [1.0] * 9)
    assert schedule.skipped == 1
    assert lrs[30] == pytest.approx(lrs[20] / 2, rel=0.01)
    later = drive(schedule, [1.0] * 120)
    assert later[-1] == pytest.approx(1.0, rel=0.01)


def test_several_losses_between_two_steps_are_averaged_and_none_means_no_decision(policy: SchedulePolicy) -> None:
    schedule = policy.schedule(1.0, 40)
    schedule.observe(1.0)
    schedule.observe(3.0)
    schedule.advance()
    decided = schedule.lr
    assert [schedule.advance() for _ in range(5)] == [decided] * 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"base_lr": 0.0}, "base_lr must be a positive number, not 0"),
        ({"base_lr": math.nan}, "base_lr"),
        ({"horizon": 0}, "horizon must be a whole number"),
        ({"horizon": 1.5}, "horizon"),
        ({"horizon": math.inf}, "horizon must be a whole number"),
        ({"horizon": math.nan}, "horizon must be a whole number"),
        ({"guard": "loose"}, "guard must be one of"),
        ({"lr_min": 2.0, "lr_max": 1.0}, "lr_min"),
    ],
)
def test_bad_arguments_are_named(policy: SchedulePolicy, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        policy.schedule(**{"base_lr": 1.0, "horizon": 10, **arguments})


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@settings(max_examples=30, deadline=None)
@given(cut=st.integers(0, 119), seed=st.integers(0, 1000))
def test_state_resumes_bit_for_bit(cut: int, seed: int) -> None:
    policy = load_policy("nmf")
    losses = list(np.random.default_rng(seed).gamma(2.0, size=120))
    losses[seed % 120] = math.nan
    whole = drive(policy.schedule(1.0, 110), losses)
    first = policy.schedule(1.0, 110)
    drive(first, losses[:cut])
    second = policy.schedule(1.0, 110)
    second.load(first.state())
    assert drive(second, losses[cut:]) == whole[cut:]
    with pytest.raises(ValueError, match="calls missing"):
        second.load({key: value for key, value in first.state().items() if key != "calls"})
