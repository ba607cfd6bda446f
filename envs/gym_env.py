"""The Gymnasium shell: one run, the batch of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lrpilot.envs.data import load_matrix
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.spaces import action_space, observation_space
from lrpilot.envs.tasks.nmf import NMFTask
from lrpilot.envs.tasks.nmf_problems import NMFProblems


class NMFEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Choose the learning rate of stochastic non-negative matrix factorisation.

    ## Description
    Projected SGD minimises f(W, H) = ½‖WH − X‖²_F over W, H ≥ 0, where only a noisy gradient is known: random
    mini-batches of columns, plus additive noise of constant variance, so that a noise floor exists. Every few
    steps the agent sets the LR as a share of a proved stability bound (`lrpilot.theory.NMFBound`). Each episode is
    a new problem: other data, shape, rank, scale, conditioning, noise and initialisation.

    ## Action Space
    `Box(-1, 1, (1,), float32)`, on a log scale: with the default `Decisions`, −1 is exp(−5) times the bound and 1
    is the bound. The share is held for `steps` SGD steps while the bound follows W and H.

    ## Observation Space
    `Box`, shape (19,), float32. Every entry is dimensionless: it stays the same when the data, the loss or the unit
    of the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

    | Index | Signal | Meaning | Unit | Min | Max |
    |-------|--------|---------|------|-----|-----|
    | 0 | progress | share of the horizon used up | share | 0 | 1 |
    | 1 | log_multiple | log of LR over reference (bound or base LR) in the last interval, / 3 | nats / 3 | -4 | 4 |
    | 2 | level | mean log loss of the last interval, minus the log of the first loss, / 5 | nats / 5 | -4 | 4 |
    | 3 | change | level minus the level one interval earlier, squashed | squashed nats | -4 | 4 |
    | 4 | fast | level minus its fast average, squashed | squashed nats | -4 | 4 |
    | 5 | slow | level minus its slow average, squashed | squashed nats | -4 | 4 |
    | 6 | slowest | level minus its slowest average, squashed | squashed nats | -4 | 4 |
    | 7 | best | level minus the best level so far, squashed | squashed nats | 0 | 4 |
    | 8 | trend | fitted change of the log loss across the last interval, squashed | squashed nats | -4 | 4 |
    | 9 | spread | scatter of the log loss around that fit (standard deviation), squashed | squashed nats | 0 | 4 |
    | 10 | log_multiple_change | log_multiple minus its value one interval earlier | nats | -4 | 4 |
    | 11 | reference_change | log of the reference LR over its first value, / 3 | nats / 3 | -4 | 4 |
    | 12 | gradient | log of reference LR · ‖gradient‖² / loss, what a step promises, / 3 | nats / 3 | -4 | 4 |
    | 13 | gradient_change | log of ‖gradient‖ over its first value, / 3 | nats / 3 | -4 | 4 |
    | 14 | efficiency | log loss really lost in the last interval over what was promised | ratio | -4 | 4 |
    | 15 | mean_efficiency | slow average of efficiency | ratio | -4 | 4 |
    | 16 | alignment | 2 × cosine between the last two gradients: near 0 where noise prevails | 2 × cosine | -4 | 4 |
    | 17 | mean_alignment | slow average of alignment | 2 × cosine | -4 | 4 |
    | 18 | has_gradient | 1 where gradients can be read; else 0, and the six signals above are 0 | flag | 0 | 1 |

    The losses are those of the mini-batches, as a training loop sees them; the full objective is never observed.

    ## Rewards
    Decrease of log f over the interval, f the full objective without noise. It telescopes: the return is
    log(f at the start) − log(f at the end). An exploded run pays `penalty` (5 nats) more.

    ## Starting State
    A problem drawn from `NMFProblems`; W and H uniform, scaled to between a tenth and three times the data.

    ## Episode End
    `terminated` after `decisions` decisions (40): the end of the budget is part of the problem and is observed
    through progress. Also `terminated` when f is not finite or has grown 10,000-fold. Never `truncated`.

    ## Arguments
    - `problems`: an `NMFProblems`, the distribution of problems.
    - `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, guard, penalty.
    - `matrices`: names or `.npy` paths of real matrices to crop problems from, see `lrpilot.envs.data`.

    `info` holds `lr` and `bound` (per step) and `objective` (f).

    ## Version History
    - v0: first version.
    """

    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init__(
        self,
        problems: NMFProblems | None = None,
        decisions: Decisions | None = None,
        matrices: Sequence[str] = (),
        render_mode: str | None = None,
    ) -> None:
        self.observation_space = observation_space()  # type: ignore[assignment]
        self.action_space = action_space()  # type: ignore[assignment]
        self.render_mode = render_mode
        self.process = nmf_process(1, problems, decisions, matrices)

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


def nmf_process(
    batch_size: int,
    problems: NMFProblems | None = None,
    decisions: Decisions | None = None,
    matrices: Sequence[str] = (),
    replicas: int = 1,
) -> Process:
    """Return the batched decision process that every shell wraps.

    Args:
        batch_size: Runs side by side.
        problems: The distribution of problems; the default one if None.
        decisions: How the agent acts; the default if None.
        matrices: Names or `.npy` paths of real matrices to crop from.
        replicas: How many successive runs share problem, initialisation and noise.

    Returns:
        The process; call `seed` and `reset` first.

    Raises:
        DataError: A matrix can't be had or can't be factorised.
    """
    real = [load_matrix(name) for name in matrices]
    return Process(NMFTask(problems or NMFProblems(), batch_size, real, replicas), decisions or Decisions())


def process_info(process: Process) -> dict[str, NDArray[np.float64]]:
    """Return what the shells put into `info`, each of shape (B,)."""
    return {"lr": process.lr, "bound": process.reference, "objective": process.task.objective()}
