"""The Stable-Baselines3 shell: a `VecEnv` over one batched process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from lrpilot.envs.process import Process
from lrpilot.envs.spaces import action_space, observation_space
from lrpilot.signals import SIGNAL_NAMES, Floats


class BatchedVecEnv(VecEnv):
    """B runs as SB3 wants them: same-step autoreset, last observations in `terminal_observation`.

    Args:
        process: The batched process; its batch size is the number of environments.
        with_hidden: Append the task's hidden state to the observation, for an asymmetric critic.
        replicas: How many successive runs share a problem and its noise. Each is then paid its reward minus the mean
            reward of its siblings: their actions are independent of its own, so the policy gradient keeps its mean,
            and what the problem and its noise contribute cancels.
        tail: If given, each is paid for g(lead) instead, g(x) = tail · asinh(x / tail), where the lead is its return
            so far minus the median of its siblings': differences beyond `tail`, in nats, count logarithmically. Else
            the few problems on which runs blow up make up nearly all of the gradient's variance.
        signals: Names of the signals that are observed; all if not given.

    Raises:
        ValueError: `replicas` does not divide the number of runs.
    """

    def __init__(
        self,
        process: Process,
        with_hidden: bool = False,
        replicas: int = 1,
        tail: float | None = None,
        signals: Sequence[str] = SIGNAL_NAMES,
    ) -> None:
        space = observation_space(process.task.hidden_size if with_hidden else 0, signals)
        super().__init__(process.task.batch_size, space, action_space())
        self.process = process
        if self.num_envs % replicas:
            raise ValueError(f"replicas must divide the {self.num_envs} runs, {replicas} does not")
        self._with_hidden = with_hidden
        self._columns = [SIGNAL_NAMES.index(name) for name in signals]
        self._replicas = replicas
        self._tail = tail
        self._paid = np.zeros(self.num_envs)  # since the start of the run
        self._actions: NDArray[np.float32] = np.zeros((self.num_envs, 1), dtype=np.float32)
        self._returns = np.zeros(self.num_envs)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)

    def reset(self) -> NDArray[np.float32]:
        """Start all runs; the seed is that of the last call of `seed`."""
        if self._seeds[0] is not None:
            self.process.seed(self._seeds[0])
        self._reset_seeds()
        self._returns, self._paid = np.zeros(self.num_envs), np.zeros(self.num_envs)
        return self._seen(self.process.reset())

    def _seen(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = observation[:, self._columns]
        return np.hstack([seen, self.process.hidden()]) if self._with_hidden else seen

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take in the actions, shape (B, 1)."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Return observations, rewards, ends and infos; ended runs have begun anew."""
        observation, reward, done = self.process.step(self._actions[:, 0].astype(np.float64))
        if self._replicas > 1:  # siblings stay in step: one that exploded waits for the others
            done = self.process.decision >= self.process.config.decisions
        observation = self._seen(observation)
        self._returns += reward
        self._lengths += 1
        pay = self._relative(reward)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            for b in np.flatnonzero(done):
                infos[b] = {
                    "terminal_observation": observation[b],
                    "TimeLimit.truncated": False,
                    "episode": {"r": float(self._returns[b]), "l": int(self._lengths[b]), "t": 0.0},
                }
            self._returns[done] = 0
            self._paid = np.where(done, 0.0, self._paid)
            self._lengths[done] = 0
            observation = self._seen(self.process.reset(done))
        return observation, pay.astype(np.float32), done, infos

    def _relative(self, reward: Floats) -> Floats:
        """What each run is paid, shape (B,): its reward relative to its siblings'."""
        if self._replicas == 1:
            return reward
        relative: Floats
        if self._tail is not None:
            returns = self._returns.reshape(-1, self._replicas)
            lead = (returns - np.median(returns, 1, keepdims=True)).ravel()
            due = self._tail * np.arcsinh(lead / self._tail)
            relative, self._paid = due - self._paid, due
            return relative
        groups = reward.reshape(-1, self._replicas)
        relative = (groups - groups.mean(1, keepdims=True)) * self._replicas / (self._replicas - 1)
        return relative.ravel()

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """Return an attribute of the shared process, once for each environment asked for."""
        value = None if attr_name == "render_mode" else getattr(self.process, attr_name)
        return [value for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Refuse: all environments share one process."""
        raise NotImplementedError("the environments of a batch share one process; configure it before training")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Call a method of the shared process once; the result stands for each environment."""
        result = getattr(self.process, method_name)(*args, **kwargs)
        return [result for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type, indices: Any = None) -> list[bool]:
        """Return False for each: there are no wrappers."""
        return [False for _ in self._get_indices(indices)]
