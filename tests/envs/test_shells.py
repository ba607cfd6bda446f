"""Every registered environment: both checkers, reproducibility, agreement of the shells, documented spaces."""

from __future__ import annotations

import re
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import registry
from gymnasium.utils.env_checker import check_env as gymnasium_check
from stable_baselines3.common.env_checker import check_env as sb3_check

import lrpilot.envs
from lrpilot.envs import Decisions
from lrpilot.envs.families import make_process
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.signals import SIGNALS

IDS = sorted(name for name in registry if name.startswith("lrpilot/"))
assert lrpilot.envs.NMFProblems


@pytest.mark.parametrize("name", IDS)
def test_both_checkers_pass(name: str) -> None:
    env = gym.make(name).unwrapped
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*render.*")
        gymnasium_check(env, skip_render_check=True)
    sb3_check(env, warn=True)


@pytest.mark.parametrize("name", IDS)
def test_docstring_table_is_the_observation_space(name: str) -> None:
    env = gym.make(name).unwrapped
    rows = re.findall(r"^\s*\| (\d+) \| (\w+) \| (.+?) \| [^|]+ \| (\S+) \| (\S+) \|$", type(env).__doc__ or "", re.M)
    assert [(int(i), name, meaning) for i, name, meaning, _, _ in rows] == [
        (i, signal.name, signal.meaning) for i, signal in enumerate(SIGNALS)
    ]
    space: Any = env.observation_space
    np.testing.assert_array_equal(space.low, [float(row[3]) for row in rows])
    np.testing.assert_array_equal(space.high, [float(row[4]) for row in rows])


def episode(env: Any, seed: int, batched: bool) -> list[Any]:
    rng = np.random.default_rng(3)
    record = [env.reset(seed=seed)[0]]
    for _ in range(40):
        action = rng.uniform(-1, 1, 1).astype(np.float32)
        observation, reward, terminated, _, info = env.step(action[None] if batched else action)
        ended = bool(np.all(terminated))
        if batched and ended:
            observation = np.stack(info["final_obs"])
        record += [observation, reward, *(info[name] for name in ("lr", "bound", "base_lr") if name in info)]
        if ended:
            break
    return record


def test_the_single_env_and_the_batch_of_one_give_the_same_bits() -> None:
    single, batch = (
        episode(gym.make("lrpilot/NMF-v0").unwrapped, 5, False),
        episode(gym.make_vec("lrpilot/NMF-v0", 1, vectorization_mode="vector_entry_point"), 5, True),
    )
    assert len(single) == len(batch) == 1 + 4 * 40
    for one, other in zip(single, batch, strict=True):
        np.testing.assert_array_equal(np.ravel(one), np.ravel(other))


def test_a_seed_gives_the_same_bits_again_and_another_seed_does_not() -> None:
    env = gym.make_vec("lrpilot/NMF-v0", num_envs=3, vectorization_mode="vector_entry_point")
    first, again, other = (env.reset(seed=seed)[1]["objective"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()


def test_rewards_telescope_to_the_log_improvement() -> None:
    env = gym.make("lrpilot/NMF-v0").unwrapped
    _, info = env.reset(seed=0)
    start, total, ended = info["objective"], 0.0, False
    while not ended:
        _, reward, ended, truncated, info = env.step(np.array([0.5], dtype=np.float32))
        total += reward
        assert not truncated
    assert total == pytest.approx(np.log(start / info["objective"]), rel=1e-6)


def test_sb3_shell_ends_episodes_as_sb3_expects() -> None:
    env = BatchedVecEnv(make_process("nmf", 4), with_hidden=True)
    env.seed(0)
    assert env.reset().shape == (4, len(SIGNALS) + 5)
    for step in range(40):
        observation, _, done, infos = env.step(np.zeros((4, 1), dtype=np.float32))
        assert done.all() == (step == 39)
    assert all("terminal_observation" in info and not info["TimeLimit.truncated"] for info in infos)
    assert (observation[:, 0] == 0).all()


def test_replicas_share_problem_and_noise_and_their_relative_rewards_cancel() -> None:
    env = BatchedVecEnv(make_process("nmf", 6, replicas=3), replicas=3)
    env.seed(0)
    env.reset()
    X = env.process.task.X.numpy()  # type: ignore[attr-defined]
    np.testing.assert_array_equal(X[0], X[2])
    assert (X[2] != X[3]).any()
    for _ in range(3):
        _, reward, _, _ = env.step(np.full((6, 1), 0.3, dtype=np.float32))
        np.testing.assert_allclose(reward, 0, atol=1e-6)  # same actions, same noise: nothing to choose
    _, reward, _, _ = env.step(np.array([[1], [0], [-1]] * 2, dtype=np.float32))
    np.testing.assert_allclose(reward.reshape(2, 3).sum(1), 0, atol=1e-5)
    assert (reward != 0).all()
    with pytest.raises(ValueError, match="replicas must divide"):
        BatchedVecEnv(make_process("nmf", 4), replicas=3)


def test_scaled_rewards_sum_up_to_the_squashed_lead_over_the_median_replica() -> None:
    env = BatchedVecEnv(make_process("nmf", 6, replicas=3), replicas=3, reward_scale=0.2)
    env.seed(0)
    env.reset()
    paid, infos = np.zeros(6), [{}]
    for _ in range(40):
        _, relative_reward, _, infos = env.step(np.array([[-1], [0], [1]] * 2, dtype=np.float32))
        paid += relative_reward
    returns = np.array([info["episode"]["r"] for info in infos]).reshape(2, 3)
    lead = returns - np.median(returns, 1, keepdims=True)
    assert np.abs(lead).max() > 0.2
    np.testing.assert_allclose(paid.reshape(2, 3), 0.2 * np.arcsinh(lead / 0.2), atol=1e-5)
    _, relative_reward, _, _ = env.step(np.zeros((6, 1), dtype=np.float32))
    assert np.abs(relative_reward).max() < 1e-6  # the next run begins level


def blow_ups(decisions: Decisions, episodes: int, log_low: float | None = None) -> float:
    """Share of episodes with a non-finite or diverged objective under random actions."""
    process = make_process("nmf", min(episodes, 250), None, decisions)
    rng = np.random.default_rng(0)
    bad = total = 0
    for batch in range(-(-episodes // process.task.batch_size)):
        process.seed(batch)
        process.reset()
        diverged = np.zeros(process.task.batch_size, dtype=np.bool_)
        for decision in range(decisions.decisions):
            _, _, ended = process.step(rng.uniform(-1, 1, process.task.batch_size))
            diverged |= ended & (decision < decisions.decisions - 1)
            diverged |= ~np.isfinite(process.task.objective())
        bad += int(diverged.sum())
        total += process.task.batch_size
    return bad / total


def test_random_actions_under_the_strict_guard_never_blow_up() -> None:
    assert blow_ups(Decisions(decisions=20), 500) == 0


@pytest.mark.slow
def test_random_actions_under_the_strict_guard_never_blow_up_in_10_000_episodes() -> None:
    assert blow_ups(Decisions(), 10_000) == 0


def test_without_the_guard_at_four_times_the_bound_many_blow_up() -> None:
    four = Decisions(guard="off", log_low=float(np.log(4) - 1e-6), log_high=float(np.log(4)))
    assert blow_ups(four, 250) >= 0.2


def test_an_explosion_ends_the_run_with_a_penalty_and_a_clean_observation() -> None:
    process = make_process("nmf", 32, None, Decisions(guard="off", log_low=5.0, log_high=6.0, penalty=7.0))
    process.seed(0)
    process.reset()
    seen = False
    for _ in range(5):
        transition = process.step(np.ones(32))
        assert np.isfinite(transition.observation).all()
        assert np.isfinite(transition.reward).all()
        if transition.terminated.any():
            seen = True
            assert (transition.reward[transition.terminated] <= -7.0 + 1e-9).any()
            process.reset(transition.terminated)
    assert seen
