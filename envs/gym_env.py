"""The Gymnasium shells: one run, the batch of one."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import indent
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from lrpilot.envs.families import Problems, make_process
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.spaces import action_space, observation_space, observation_table
from lrpilot.signals import SIGNALS

_NETWORKS = """\
## Description
A network is trained on real data by mini-batches, with SGD (with or without momentum, or Nesterov's) or AdamW.
Each episode is a new problem: other data set, subset, noise of the labels, architecture, width, depth,
normalisation, scale of the initial weights, optimizer, momentum, weight decay, size of the mini-batches, and
base LR, which is wrong by up to `lr_error` either way. Nothing bounds the LR.

## Action Space
`Box(-1, 1, (1,), float32)`: with the default `Decisions` it changes the log of the LR's multiple of base LR and
linear decay by at most 1.5 at each decision. The multiple begins at exp(−6) and stays within exp(−10) and exp(5.5);
it falls by a factor of exp(3) at once when the loss is far above all before.

## Observation Space
`Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the loss or the unit of
the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

{observations}

The losses are those of the mini-batches, as a training loop sees them; the rewarded loss is never observed.

## Rewards
Decrease of the log of the loss on held-out samples over the interval. It telescopes: the return is that loss's
log at the start minus that at the end. An exploded run pays `penalty` (2 nats) more. The samples of the test part
can't be reached from here.

## Starting State
A problem drawn from `NetProblems`; the weights are fresh.

## Episode End
`terminated` after `decisions` decisions (60): the end of the budget is part of the problem and is observed
through progress. Also `terminated` when the held-out loss is not finite or has grown 10,000-fold. Never
`truncated`.

## Arguments
- `problems`: a `NetProblems`, the distribution of problems.
- `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, penalty.
- `data`: names of data sets, see `lrpilot.envs.datasets`.

`info` holds `lr` and `base_lr` (per step) and `objective` (the held-out loss).

## Version History
- v0: first version."""


class AbstractScheduleEnv(gym.Env[NDArray[np.float32], NDArray[np.float32]]):
    """Choose the learning rate of one training run; a subclass says of what, and documents it.

    Args:
        problems: The distribution of problems; the family's default one if None.
        decisions: Decisions a run, SGD steps between two, range of the action, guard, penalty.
        data: Names of the data sets that problems are made of.
        render_mode: None; there is nothing to render.
    """

    family: ClassVar[str]
    metadata = {"render_modes": []}  # noqa: RUF012 (Gymnasium's own convention)

    def __init_subclass__(cls) -> None:
        """Put the table of observations, which `lrpilot.signals` defines, into the docstring."""
        parts = {
            "{networks}": indent(_NETWORKS, "    ").lstrip(),
            "{observations}": observation_table(),
            "{signals}": str(len(SIGNALS)),
        }
        for name, text in parts.items():
            cls.__doc__ = (cls.__doc__ or "").replace(name, text)

    def __init__(
        self,
        problems: Problems | None = None,
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


class NMFEnv(AbstractScheduleEnv):
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
    `Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the data, the loss or the
    unit of the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

    {observations}

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
    - `data`: names or `.npy` paths of real matrices to crop problems from, see `lrpilot.envs.data`.

    `info` holds `lr` and `bound` (per step) and `objective` (f).

    ## Version History
    - v0: first version.
    """

    family = "nmf"


class LinearEnv(AbstractScheduleEnv):
    """Choose the learning rate of fine-tuning a linearised network.

    ## Description
    A small network (fully connected or convolutional, leaky ReLU, pre-trained on half of the classes of a real data
    set) is replaced by its first-order expansion and fine-tuned to other classes with a squared loss and mini-batch
    SGD. The loss is then a quadratic whose Hessian never changes, and 2/λ_max is exactly where full-batch steps stop
    being stable; for mini-batches the agent's bound is 2/L, the largest LR known to be stable in mean square
    (`lrpilot.theory.minibatch_smoothness`). Every few steps the agent sets the LR as a share of it. Each episode is a
    new problem: other network, classes, examples, label noise, weight decay, units and size of the mini-batches.

    ## Action Space
    `Box(-1, 1, (1,), float32)`, on a log scale: with the default `Decisions`, −1 is exp(−5) times the bound and 1
    is the bound. The share is held for `steps` SGD steps.

    ## Observation Space
    `Box`, shape ({signals},), float32. Every entry is dimensionless: it stays the same when the data, the loss or the
    unit of the LR is rescaled. "Squashed" is asinh(100 x) / 2 of a difference of natural logs.

    {observations}

    The losses are those of the mini-batches, as a training loop sees them; the full objective is never observed.

    ## Rewards
    Decrease of log(f − f*) over the interval, f the full training loss and f* its minimum: what the LR can change. It
    telescopes: the return is the log of f − f* at the start over that at the end. An exploded run pays `penalty`
    (5 nats) more.

    ## Starting State
    A problem drawn from `LinearProblems`; the weights are the pre-trained ones.

    ## Episode End
    `terminated` after `decisions` decisions (40): the end of the budget is part of the problem and is observed
    through progress. Also `terminated` when f − f* is not finite or has grown 10,000-fold. Never `truncated`.

    ## Arguments
    - `problems`: a `LinearProblems`, the distribution of problems.
    - `decisions`: a `Decisions`: decisions a run, SGD steps between two, range of the action, guard, penalty.
    - `data`: names of labelled data sets, see `lrpilot.envs.labelled_data`; digits, faces and wine if empty.

    `info` holds `lr` and `bound` (per step) and `objective` (f − f*).

    ## Version History
    - v0: first version.
    """

    family = "linear"


class CNNEnv(AbstractScheduleEnv):
    """Choose the learning rate of training a small convolutional network, from a base LR that may be far off.

    {networks}
    """

    family = "cnn"


class NLPEnv(AbstractScheduleEnv):
    """Choose the learning rate of training a small network on text, from a base LR that may be far off.

    {networks}
    """

    family = "nlp"


def process_info(process: Process) -> dict[str, NDArray[np.float64]]:
    """Return what the shells put into `info`, each of shape (B,)."""
    task = process.task
    return {"lr": process.lr, task.reference_name: process.reference, "objective": task.objective()}
