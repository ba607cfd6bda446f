"""When decisions are made: listed, kept by the run-time and by the environment, checked in card and recipe."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lrpilot import PolicyError, SchedulePolicy
from lrpilot.agents.export import check_control
from lrpilot.card import control_entries
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.control import Control
from lrpilot.describe import describe
from lrpilot.envs.families import make_process
from lrpilot.envs.process import Decisions

ACTS = {"anchor": "linear", "log_low": -8.0, "log_high": 4.0, "max_change": 1.0, "log_start": -4.0}


@given(horizon=st.integers(1, 5_000), decisions=st.integers(1, 300), power=st.floats(1, 4))
def test_times_begin_at_0_increase_and_stay_below_the_horizon(horizon: int, decisions: int, power: float) -> None:
    times = Control(decisions, power=power).times(horizon)
    assert times[0] == 0
    assert max(times) < horizon
    assert (np.diff(times) > 0).all()
    if horizon >= decisions and (power > 1 or horizon % decisions == 0):
        assert len(times) == decisions


@pytest.mark.parametrize("horizon", [240, 1_200, 12_000])
def test_with_a_power_of_2_a_third_of_the_decisions_comes_in_the_first_ninth(horizon: int) -> None:
    times = Control(60, power=2.0).times(horizon)
    assert times[20] == horizon // 9
    assert np.diff([*times, horizon])[-1] <= 2 * horizon / 60


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
@pytest.mark.parametrize("horizon", [1, 13, 60, 240, 1_003])
def test_the_run_time_decides_then_and_only_then(policy_maker: Callable[..., SchedulePolicy], horizon: int) -> None:
    acts = ACTS | {"anchor": "constant", "signals": ["progress", "level", "slow"]}
    policy = policy_maker(action="multiple_of_base", decisions=20, power=2.0, **acts)
    schedule = policy.schedule(base_lr=1.0, horizon=horizon)
    lrs = [schedule.lr, *(schedule(1.0 / (1 + step)) for step in range(horizon + 5))]
    changed = 1 + np.flatnonzero(np.diff(lrs))
    assert {*changed} <= {*Control(20, power=2.0).times(horizon)}
    assert len(changed) >= min(horizon, 20) // 3  # then it is at its highest


def test_runs_of_the_environment_stay_in_step() -> None:
    decisions = Decisions(6, (4,), power=2.0, guard="off")
    process = make_process("cnn", 2, decisions=decisions)
    process.seed(0)
    process.reset()
    np.testing.assert_array_equal(process.times, [0, 1, 2, 6, 10, 16, 24])
    progress = [float(process.observation()[0, 0])]
    for _ in range(6):
        ended = process.step(np.zeros(2)).terminated
        progress.append(float(process.observation()[0, 0]))
    np.testing.assert_allclose(progress, process.times / 24, rtol=1e-6)
    assert ended.all()
    with pytest.raises(ValueError, match=r"decisions\.power above 1, .* reset all of them"):
        process.reset(np.array([True, False]))


@pytest.mark.parametrize("power", [0.5, 5.0, "2", None])
def test_the_card_is_checked(policy_maker: Callable[..., SchedulePolicy], power: object) -> None:
    with pytest.raises(PolicyError, match=r"card 'power' is .*, must be a number in 1\.\.4"):
        policy_maker(power=power)


def test_recipes_and_policies_must_agree(policy_maker: Callable[..., SchedulePolicy]) -> None:
    with pytest.raises(ValueError, match=r"power must be a number in 1\.\.4, not 0\.0"):
        Decisions(power=0.0)
    with pytest.raises(ConfigError, match=r"must be multiples of decisions\.decisions, 40, not 50"):
        load_recipe("nmf", ["horizon=50"])
    assert "the k-th after the share (k / 60)^2 of the horizon" in describe(policy_maker(decisions=60, power=2.0).card)
    decisions = load_recipe("nmf").decisions
    policy = policy_maker(**control_entries(decisions))
    check_control(policy, decisions)
    assert policy.fingerprint != policy_maker(**control_entries(decisions), power=2.0).fingerprint
    with pytest.raises(PolicyError, match=r"set decisions\.power=2\.0"):
        check_control(policy_maker(**control_entries(decisions), power=2.0), decisions)


@given(horizon=st.integers(1, 2_000_000), decisions=st.integers(1, 100), first=st.integers(1, 10))
def test_timed_in_steps_decisions_are_distinct_and_within_the_run(horizon: int, decisions: int, first: int) -> None:
    times = Control(decisions, first_interval=first).times(horizon)
    assert times[0] == 0
    assert times[-1] < horizon
    assert (np.diff(times) > 0).all()
    assert len(times) >= min(horizon, decisions)
    if horizon >= first * decisions:
        assert (np.diff(times) >= first).all()


def test_timed_in_steps_a_long_run_begins_as_a_short_one() -> None:
    control = Control(60, first_interval=4)
    assert [control.times(horizon)[12] for horizon in (300, 1_000, 3_000, 10_000)] == [60, 70, 70, 70]
    assert control.times(10_000)[:5] == control.times(1_000)[:5] == [0, 4, 8, 12, 16]
    assert [len(control.times(horizon)) for horizon in (60, 10_000, 100_000)] == [60, 60, 129]
    last = [(horizon - control.times(horizon)[-1]) / horizon for horizon in (1_000, 10_000, 100_000, 1_000_000)]
    assert max(last) < 0.051


def test_a_policy_timed_in_steps_says_so_and_decides_alike_in_practice_and_in_use(
    policy_maker: Callable[..., SchedulePolicy],
) -> None:
    decisions = Decisions(12, horizons=(200, 200), first_interval=4, guard="off", action="multiple_of_base")
    policy = policy_maker(**control_entries(decisions))
    assert policy.card["first_interval"] == 4
    assert "at first 4 steps apart" in describe(policy.card)
    assert policy.fingerprint != policy_maker(**{**policy.card, "first_interval": 5}).fingerprint
    process = make_process("cnn", 2, decisions=decisions)
    process.reset()
    assert process.times[:-1].tolist() == policy.control.times(200)
    with pytest.raises(ValueError, match=r"first_interval must be None or, with power 1, an integer in 1\.\.100"):
        Control(first_interval=0)
    with pytest.raises(ValueError, match="first_interval"):
        Control(power=2.0, first_interval=4)
    with pytest.raises(ValueError, match="horizons must be None or a range from 12"):
        Decisions(12, horizons=(10, 200), first_interval=4)
