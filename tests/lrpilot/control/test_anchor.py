"""The base schedule under a policy: at run time, in the file, and in the environment, it is the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lrpilot import PolicyError, SchedulePolicy
from lrpilot.envs import Decisions
from lrpilot.envs.families import make_process
from lrpilot.experiments.tuning import advance


def constant_policy(policy_maker: Callable[..., SchedulePolicy], **card: object) -> SchedulePolicy:
    policy = policy_maker(**card)
    weight, bias = policy.layers[-1]
    return SchedulePolicy(policy.card, (*policy.layers[:-1], (0 * weight, 0 * bias)))


def test_a_constant_action_on_the_linear_anchor_is_linear_to_zero(policy_maker: Callable[..., SchedulePolicy]) -> None:
    policy = constant_policy(policy_maker, anchor="linear", log_low=-1.0, log_high=1.0, action="multiple_of_base")
    schedule = policy.schedule(base_lr=0.3, horizon=100)
    lrs = [schedule.lr] + [schedule(1.0) for _ in range(99)]
    np.testing.assert_allclose(lrs, 0.3 * (1 - np.arange(100) / 100))


def test_environment_and_schedule_set_the_same_lrs(policy_maker: Callable[..., SchedulePolicy]) -> None:
    policy = constant_policy(policy_maker, anchor="linear", log_low=-4.0, log_high=4.0, decisions=10)
    process = make_process("nmf", 1, None, Decisions(decisions=10, anchor="linear", log_low=-4.0, log_high=4.0))
    process.seed(0)
    process.reset()
    schedule = policy.schedule(1.0, 50, bound=lambda: process.reference[0])
    for _ in range(50):
        schedule(float(advance(process, np.array([schedule.lr]))[0]))
    twin = make_process("nmf", 1, None, Decisions(decisions=10, anchor="linear", log_low=-4.0, log_high=4.0))
    twin.seed(0)
    twin.reset()
    for _ in range(10):
        twin.step(np.zeros(1))
    np.testing.assert_allclose(twin.task.objective(), process.task.objective(), rtol=1e-5)


def test_the_anchor_is_checked_and_counts_in_the_fingerprint(
    policy_maker: Callable[..., SchedulePolicy],
) -> None:
    linear, constant, unnamed = policy_maker(anchor="linear"), policy_maker(anchor="constant"), policy_maker()
    assert constant.fingerprint == unnamed.fingerprint != linear.fingerprint
    with pytest.raises(PolicyError, match="'anchor' is 'cosine', must be one of constant, linear"):
        policy_maker(anchor="cosine")
    with pytest.raises(ValueError, match="anchor must be one of"):
        Decisions(anchor="cosine")  # type: ignore[arg-type]
