"""The Stable-Baselines3 shell: a `VecEnv` over one batched process."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from lrpilot.envs.process import Process
from lrpilot.envs.replicas import RELATIVE_STATE_SIZE, ReplicaGroups
from lrpilot.envs.shells.spaces import action_space, observation_space
from lrpilot.envs.side_by_side import ProcessPool
from lrpilot.signals import SIGNAL_NAMES


class BatchedVecEnv(VecEnv):
    """B runs as SB3 wants them: same-step autoreset, last observations in `terminal_observation`.

    Args:
        process: The batched process, or several side by side; its batch size is the number of environments.
        with_hidden: Append the task's hidden state to the observation, for an asymmetric critic; with a
            `reward_scale`, also how each run stands in its group.
        replicas: How many successive runs share a problem and its noise, and are rewarded relative to each other.
        reward_scale: How: see `ReplicaGroups`.
        reward_floor: The same.
        signals: Names of the signals that are observed; all if not given.
        autoreset: Whether runs begin anew at once if all end together; else the caller resets them.

    Raises:
        ValueError: `replicas` does not divide the number of runs.
    """

    def __init__(
        self,
        process: Process | ProcessPool,
        with_hidden: bool = False,
        replicas: int = 1,
        reward_scale: float | None = None,
        reward_floor: float | None = None,
        signals: Sequence[str] = SIGNAL_NAMES,
        autoreset: bool = True,
    ) -> None:
        self._with_hidden = with_hidden
        self._with_relative_state = with_hidden and reward_scale is not None
        unseen = process.hidden_size * self._with_hidden + RELATIVE_STATE_SIZE * self._with_relative_state
        space = observation_space(unseen, signals)
        super().__init__(process.batch_size, space, action_space())
        self.process, self._autoreset = process, autoreset
        self._groups = ReplicaGroups(self.num_envs, replicas, reward_scale, reward_floor)
        self._columns = [SIGNAL_NAMES.index(name) for name in signals]
        self._actions: NDArray[np.float32] = np.zeros((self.num_envs, 1), dtype=np.float32)
        self._lengths = np.zeros(self.num_envs, dtype=np.int64)

    def reset(self) -> NDArray[np.float32]:
        """Start all runs; the seed is that of the last call of `seed`."""
        if self._seeds[0] is not None:
            self.process.seed(self._seeds[0])
        self._reset_seeds()
        self._groups.restart(np.ones(self.num_envs, dtype=np.bool_))
        return self._seen(self.process.reset())

    def _seen(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = [observation[:, self._columns]]
        if self._with_hidden:
            parts.append(self.process.hidden())
        if self._with_relative_state:
            parts.append(self._groups.relative_state(self.process.log_multiple).astype(np.float32))
        return np.hstack(parts)

    def step_async(self, actions: NDArray[np.float32]) -> None:
        """Take in the actions, shape (B, 1)."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """Return observations, rewards, ends and infos; ended runs have begun anew."""
        observation, reward, done = self.process.step(self._actions[:, 0].astype(np.float64))
        if self._groups.replicas > 1:  # replicas stay in step: one that diverged waits for the others
            done = self.process.over
        relative = self._groups.relative_reward(reward)
        observation = self._seen(observation)
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        if done.any():
            for b in np.flatnonzero(done):
                infos[b] = {
                    "terminal_observation": observation[b],
                    "TimeLimit.truncated": False,
                    "episode": {"r": float(self._groups.returns[b]), "l": int(self._lengths[b]), "t": 0.0},
                }
            self._groups.restart(done)
            self._lengths[done] = 0
            if self._autoreset or not done.all():
                observation = self._seen(self.process.reset(done))
        return observation, relative.astype(np.float32), done, infos

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
