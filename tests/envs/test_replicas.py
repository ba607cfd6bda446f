from __future__ import annotations

import numpy as np
import pytest

from lrpilot.envs.families import make_process
from lrpilot.envs.replicas import RELATIVE_STATE_SIZE, ReplicaGroups
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.signals import SIGNALS

REWARDS = np.array([[1.0, 0.5, 0.0, 0.2, 0.2, -9.0], [0.0, -0.5, 2.0, 0.0, 0.1, 0.0]])


def test_alone_the_relative_reward_is_the_reward() -> None:
    alone = ReplicaGroups(6)
    for reward in REWARDS:
        np.testing.assert_array_equal(alone.relative_reward(reward), reward)
    np.testing.assert_array_equal(alone.returns, REWARDS.sum(0))


def test_the_relative_reward_is_the_reward_minus_the_mean_of_the_others() -> None:
    relative_reward = ReplicaGroups(6, 3).relative_reward(REWARDS[0])
    np.testing.assert_allclose(relative_reward, [0.75, 0.0, -0.75, 4.6, 4.6, -9.2])


def test_scaled_rewards_telescope_to_the_squashed_lead_and_begins_anew_at_restart() -> None:
    groups = ReplicaGroups(6, 3, reward_scale=0.2)
    paid = sum(groups.relative_reward(reward) for reward in REWARDS)
    returns = REWARDS.sum(0).reshape(2, 3)
    lead = (returns - np.median(returns, 1, keepdims=True)).ravel()
    np.testing.assert_allclose(paid, 0.2 * np.arcsinh(lead / 0.2))
    groups.restart(np.arange(6) < 3)
    np.testing.assert_allclose(groups.returns, [0, 0, 0, *returns[1]])
    np.testing.assert_allclose(groups.relative_reward(np.zeros(6)), 0, atol=1e-15)


def test_returns_below_the_floor_count_as_the_floor() -> None:
    groups = ReplicaGroups(6, 3, reward_scale=0.2, reward_floor=-2.0)
    groups.relative_reward(REWARDS[0])
    assert groups.relative_reward(np.array([0.0] * 5 + [-50.0]))[5] == 0
    np.testing.assert_allclose(groups.relative_state(np.zeros(6))[5, 0], np.arcsinh(-2.2 / 0.2))


def test_the_relative_state_is_the_lead_and_the_lr_over_the_medians_of_the_group() -> None:
    groups = ReplicaGroups(6, 3, reward_scale=0.2)
    groups.relative_reward(REWARDS[0])
    relative_state = groups.relative_state(np.array([-6.0, -5.0, -4.5, 1.0, 1.0, 9.0]))
    assert relative_state.shape == (6, RELATIVE_STATE_SIZE)
    np.testing.assert_allclose(relative_state[:3, 0], np.arcsinh([2.5, 0.0, -2.5]))
    np.testing.assert_allclose(relative_state[:, 1], [-1.0, 0.0, 0.5, 0.0, 0.0, 4.0])


def test_a_critic_sees_the_relative_state_and_the_policy_does_not() -> None:
    env = BatchedVecEnv(make_process("nmf", 6, replicas=3), with_hidden=True, replicas=3, reward_scale=0.2)
    env.seed(0)
    assert env.reset().shape == (6, len(SIGNALS) + 5 + RELATIVE_STATE_SIZE)
    observation, relative_reward, _, _ = env.step(np.array([[-1], [0], [1]] * 2, dtype=np.float32))
    np.testing.assert_allclose(observation[:, -2], relative_reward / 0.2, rtol=1e-5)
    assert (np.diff(observation[:3, -1]) > 0).all()
    blind = BatchedVecEnv(make_process("nmf", 6, replicas=3), replicas=3, reward_scale=0.2)
    assert blind.observation_space.shape == (len(SIGNALS),)


def test_groups_must_come_out_even() -> None:
    with pytest.raises(ValueError, match="replicas must divide the 4 runs, 3 does not"):
        ReplicaGroups(4, 3)
