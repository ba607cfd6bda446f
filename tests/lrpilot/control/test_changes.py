"""Policies whose actions change the LR instead of setting it: the same at run time and in the environment."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lrpilot import PolicyError, SchedulePolicy
from lrpilot.envs import Decisions
from lrpilot.envs.families import make_process

CLIMB = {"log_low": -4.0, "log_high": 1.0, "max_change": 0.5, "log_start": -3.0}


def always(policy: SchedulePolicy, action: float) -> SchedulePolicy:
    weight, bias = policy.layers[-1]
    return SchedulePolicy(policy.card, (*policy.layers[:-1], (0 * weight, 0 * bias + np.float32(action))))


def test_actions_add_up_from_the_start_to_the_limits(policy_maker: Callable[..., SchedulePolicy]) -> None:
    policy = always(policy_maker(action="multiple_of_base", decisions=20, **CLIMB), 1.0)
    schedule = policy.schedule(base_lr=2.0, horizon=100)
    lrs = np.array([schedule.lr] + [schedule(1.0) for _ in range(99)])
    expected = np.minimum(-3.0 + 0.5 * (1 + np.arange(100) // 5), 1.0)
    np.testing.assert_allclose(np.log(lrs / 2.0), expected, atol=1e-9)


def test_the_environment_moves_alike() -> None:
    process = make_process("nmf", 2, None, Decisions(decisions=8, guard="off", **CLIMB))  # type: ignore[arg-type]
    process.seed(0)
    process.reset()
    seen = []
    for action in (1.0, 1.0, -0.5, 0.0):
        before = process.reference.copy()
        process.step(np.full(2, action))
        seen.append(np.log(process.lr / before))
    np.testing.assert_allclose(seen, np.array([[-2.5], [-2.0], [-2.25], [-2.25]]) * np.ones(2), atol=1e-9)
    process.reset(np.array([True, False]))
    before = process.reference.copy()
    process.step(np.zeros(2))
    np.testing.assert_allclose(np.log(process.lr / before), [-3.0, -2.25], atol=1e-9)


def test_replicas_of_a_diverged_run_go_on_and_it_gets_no_more_reward() -> None:
    process = make_process("nmf", 4, None, Decisions(decisions=6, guard="off", log_low=-6.0, log_high=9.0, penalty=7.0))
    process.seed(0)
    process.reset()
    rewards = [process.step(np.array([1.0, -0.5, -0.5, 1.0])).reward for _ in range(6)]
    total = np.sum(rewards, 0)
    assert process.diverged.tolist() == [True, False, False, True]
    np.testing.assert_allclose(total[[0, 3]], -7.0)
    assert (total[1:3] > -1.0).all()


@pytest.mark.parametrize(
    ("change", "message"), [({"max_change": -1.0}, "'max_change'"), ({"log_start": 3.0}, "'log_s")]
)
def test_the_card_is_checked(
    policy_maker: Callable[..., SchedulePolicy], change: dict[str, float], message: str
) -> None:
    with pytest.raises(PolicyError, match=message):
        policy_maker(**{**CLIMB, **change})
    with pytest.raises(ValueError, match=r"max_change must be None or a positive number|log_start must be within"):
        Decisions(**{**CLIMB, **change})  # type: ignore[arg-type]
