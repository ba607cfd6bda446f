from __future__ import annotations

import numpy as np
import pytest

from lrpilot.envs.families import make_process
from lrpilot.envs.sb3_env import BatchedVecEnv
from lrpilot.envs.siblings import STANDING_SIZE, Siblings
from lrpilot.signals import SIGNALS

REWARDS = np.array([[1.0, 0.5, 0.0, 0.2, 0.2, -9.0], [0.0, -0.5, 2.0, 0.0, 0.1, 0.0]])


def test_without_siblings_the_pay_is_the_reward() -> None:
    alone = Siblings(6)
    for reward in REWARDS:
        np.testing.assert_array_equal(alone.pay(reward), reward)
    np.testing.assert_array_equal(alone.returns, REWARDS.sum(0))


def test_relative_pay_is_the_reward_minus_the_mean_of_the_others() -> None:
    pay = Siblings(6, 3).pay(REWARDS[0])
    np.testing.assert_allclose(pay, [0.75, 0.0, -0.75, 4.6, 4.6, -9.2])


def test_pay_with_a_tail_telescopes_to_the_squashed_lead_and_begins_anew_at_restart() -> None:
    siblings = Siblings(6, 3, tail=0.2)
    paid = sum(siblings.pay(reward) for reward in REWARDS)
    returns = REWARDS.sum(0).reshape(2, 3)
    lead = (returns - np.median(returns, 1, keepdims=True)).ravel()
    np.testing.assert_allclose(paid, 0.2 * np.arcsinh(lead / 0.2))
    siblings.restart(np.arange(6) < 3)
    np.testing.assert_allclose(siblings.returns, [0, 0, 0, *returns[1]])
    np.testing.assert_allclose(siblings.pay(np.zeros(6)), 0, atol=1e-15)


def test_returns_below_the_worst_count_as_the_worst() -> None:
    siblings = Siblings(6, 3, tail=0.2, worst=-2.0)
    siblings.pay(REWARDS[0])
    assert siblings.pay(np.array([0.0] * 5 + [-50.0]))[5] == 0
    np.testing.assert_allclose(siblings.standing(np.zeros(6))[5, 0], np.arcsinh(-2.2 / 0.2))


def test_standing_is_the_lead_and_the_lr_over_the_medians_of_the_siblings() -> None:
    siblings = Siblings(6, 3, tail=0.2)
    siblings.pay(REWARDS[0])
    standing = siblings.standing(np.array([-6.0, -5.0, -4.5, 1.0, 1.0, 9.0]))
    assert standing.shape == (6, STANDING_SIZE)
    np.testing.assert_allclose(standing[:3, 0], np.arcsinh([2.5, 0.0, -2.5]))
    np.testing.assert_allclose(standing[:, 1], [-1.0, 0.0, 0.5, 0.0, 0.0, 4.0])


def test_a_critic_sees_the_standing_and_the_policy_does_not() -> None:
    env = BatchedVecEnv(make_process("nmf", 6, replicas=3), with_hidden=True, replicas=3, tail=0.2)
    env.seed(0)
    assert env.reset().shape == (6, len(SIGNALS) + 5 + STANDING_SIZE)
    observation, pay, _, _ = env.step(np.array([[-1], [0], [1]] * 2, dtype=np.float32))
    np.testing.assert_allclose(observation[:, -2], pay / 0.2, rtol=1e-5)
    assert (np.diff(observation[:3, -1]) > 0).all()
    blind = BatchedVecEnv(make_process("nmf", 6, replicas=3), replicas=3, tail=0.2)
    assert blind.observation_space.shape == (len(SIGNALS),)


def test_siblings_must_come_out_even() -> None:
    with pytest.raises(ValueError, match="replicas must divide the 4 runs, 3 does not"):
        Siblings(4, 3)
