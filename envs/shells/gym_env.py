"""The Gymnasium shells: one run, the batch of one, and B runs in one batch of tensors."""

from collections.abc import Sequence
from textwrap import indent
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from lrpilot.envs.families import make_process
from lrpilot.envs.family import Family
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.shells.spaces import action_space, observation_space, observation_table
from lrpilot.signals import SIGNALS


class AbstractScheduleEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Choose the learning rate of one training run; `env_class` makes the environment of a family.

    Args:
        problems: The distribution of problems; the family's default one if None.
        decisions: Decisions a run, SGD steps between two, range of the action, guard, penalty.
        data: Names of the data sets that problems are made of.
        render_mode: None; there is nothing to render.
    """

    family: ClassVar[str]
    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        problems: Any = None,
        decisions: Decisions | None = None,
        data: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        self.observation_space = observation_space()  # type: ignore[assignment]
        self.action_space = action_space()  # type: ignore[assignment]
        self.render_mode = render_mode
        self.process = make_process(self.family, 1, problems, decisions, data)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Draw a new problem; with a seed, a reproducible one."""
        super().reset(seed=seed)
        if seed is not None:
            self.process.seed(seed)
        observation = self.process.reset()[0]
        return observation, {name: float(value[0]) for name, value in process_info(self.process).items()}

    def step(self, action: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """Hold one LR share for an interval of SGD steps."""
        observation, reward, terminated = self.process.step(np.asarray(action, dtype=np.float64).reshape(1))
        info = {name: float(value[0]) for name, value in process_info(self.process).items()}
        return observation[0], float(reward[0]), bool(terminated[0]), False, info


class AbstractScheduleVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.float32], NDArray[Any]]):
    """An `AbstractScheduleEnv` for B runs at once; see there. Autoreset is same-step, with `final_obs` in the infos.

    Args:
        num_envs: B, runs side by side.
        problems: The distribution of problems; the family's default one if None.
        decisions: How the agent acts.
        data: Names of the data sets that problems are made of.
        render_mode: None; there is nothing to render.
    """

    family: ClassVar[str]
    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.SAME_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        problems: Any = None,
        decisions: Decisions | None = None,
        data: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.single_observation_space = observation_space()
        self.single_action_space = action_space()
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.process = make_process(self.family, num_envs, problems, decisions, data)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Draw new problems in all slots; with a seed (the first of a list counts), reproducible ones."""
        first = seed[0] if isinstance(seed, list) else seed
        super().reset(seed=first)
        if first is not None:
            self.process.seed(first)
        observation = self.process.reset()
        return observation, process_info(self.process)

    def step(
        self, actions: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """Hold one LR share a run for an interval of SGD steps; ended runs begin anew."""
        observation, reward, terminated = self.process.step(np.asarray(actions, dtype=np.float64)[:, 0])
        info: dict[str, Any] = process_info(self.process)
        if terminated.any():
            final = np.full(self.num_envs, None, dtype=object)
            for slot in np.flatnonzero(terminated):
                final[slot] = observation[slot]
            info |= {"final_obs": final, "_final_obs": terminated.copy()}
            observation = self.process.reset(terminated)
        return observation, reward, terminated, np.zeros(self.num_envs, dtype=np.bool_), info


def env_class(family: Family, shell: type[Any] = AbstractScheduleEnv) -> Any:
    """Return the environment of a family; its docstring holds the table of observations.

    Args:
        family: Which.
        shell: For one run, or `AbstractScheduleVectorEnv` for many.
    """
    doc = indent(family.description, "    ").strip().replace("{observations}", observation_table())
    name = shell.__name__.replace("AbstractSchedule", family.name.upper())
    return type(name, (shell,), {"__doc__": doc.replace("{signals}", str(len(SIGNALS))), "family": family.name})


def process_info(process: Process) -> dict[str, NDArray[np.float64]]:
    """Return what the shells put into `info`, each of shape (B,)."""
    task = process.task
    return {"lr": process.lr, task.reference_name: process.reference, "objective": task.objective()}
