"""Workloads whose training losses are told with noise that no gradient knows of, as in a study of GreedyLR.

The kinds and their formulas are those of the program behind the robustness study of arXiv 2512.14527
(amazon-science/aws-research-science, commit 707f1bc, GreedyLR/experiments/comprehensive_scheduler_experiment.py):
there the noise is a number added to the loss before the backward pass, so it has no gradient.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.envs.tasks.composite import AbstractWrapper
from lrpilot.experiments.league.workload import Workload

Noise = Callable[[int, Floats, Floats, float, np.random.Generator], Floats]


def _gaussian(_: int, loss: Floats, __: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return rng.normal(0, strength, loss.shape)


def _periodic_spikes(step: int, loss: Floats, _: Floats, strength: float, __: np.random.Generator) -> Floats:
    return strength * loss * (step % (50 + int(50 * strength)) < 3)


def _random_spikes(_: int, loss: Floats, __: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return strength * loss * rng.uniform(0.5, 2.0, loss.shape) * (rng.random(loss.shape) < 0.02)


def _plateau(step: int, loss: Floats, _: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return rng.normal(0, 0.05 * strength, loss.shape) * (step % 100 < int(20 + 30 * strength))


def _oscillation(step: int, loss: Floats, _: Floats, strength: float, __: np.random.Generator) -> Floats:
    return strength * loss * np.sin(step * (0.1 + strength))


def _drift(step: int, loss: Floats, _: Floats, strength: float, __: np.random.Generator) -> Floats:
    return np.full(loss.shape, 0.001 * strength * step)


def _burst(step: int, loss: Floats, _: Floats, strength: float, rng: np.random.Generator) -> Floats:
    return rng.normal(0, strength * (3.0 if step % 200 < 20 else 0.1), loss.shape)


def _adversarial(_: int, loss: Floats, before: Floats, strength: float, __: np.random.Generator) -> Floats:
    return 0.5 * strength * loss * (loss < before)


KINDS: dict[str, Noise] = {
    "none": lambda _, loss, *__: np.zeros(loss.shape),
    "Gaussian": _gaussian,
    "periodic spikes": _periodic_spikes,
    "random spikes": _random_spikes,
    "plateau": _plateau,
    "oscillation": _oscillation,
    "drift": _drift,
    "burst": _burst,
    "adversarial": _adversarial,
}
"""By name: number of the step, its losses, those before, strength, randomness -> what is added; losses (B,)."""


class NoisyTask(AbstractWrapper):
    """A task whose losses are observed with noise; column c of the runs of each problem has the c-th kind of noise.

    Args:
        task: The task, at its start.
        strength: Of the noise.
        seed: Of the noise.
    """

    def __init__(self, task: AbstractTask, strength: float, seed: int) -> None:
        super().__init__(task)
        self._strength, self._noise_rng, self._step = strength, np.random.default_rng(seed), 0
        self._before: Floats = np.full(task.batch_size, np.inf)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one step of each run; return the losses with noise."""
        loss = self.task.sgd_step(lr)
        observed = loss.copy()
        for column, noise in enumerate(KINDS.values()):
            mine = slice(column, None, len(KINDS))
            observed[mine] += noise(self._step, loss[mine], self._before[mine], self._strength, self._noise_rng)
        self._before, self._step = loss, self._step + 1
        return observed


@dataclass(frozen=True)
class NoisyLosses(Workload):
    """A workload on which a rival with one setting for each kind of noise is told losses with that noise.

    Training itself knows nothing of it.

    Attributes:
        strength: Of the noise; relative to the loss, or in nats.
    """

    strength: float = 0.0

    def start(self, settings: int, decisions: Decisions | None = None, loss_only: bool = True) -> Process:
        """Return all problems at their start; see `Workload.start`.

        Args:
            settings: As many as there are kinds of noise.
            decisions: How a policy acts, if it is not the recipe's manner.
            loss_only: Hide gradients and weights.

        Returns:
            The process.

        Raises:
            ValueError: Another number of settings.
        """
        if settings != len(KINDS):
            raise ValueError(f"{len(KINDS)} kinds of noise need as many settings, not {settings}")
        process = super().start(settings, decisions, loss_only)
        process.task = NoisyTask(process.task, self.strength, self.seed)
        return process
