"""The decision process around a task: what an agent sees, does and is rewarded for, for B runs at once."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Floats
from lrpilot.control import Control, Guard, Limits, OutOfRangeError
from lrpilot.displacement import UNKNOWN, DisplacementCosines
from lrpilot.envs.tasks.base import TRIED, AbstractTask
from lrpilot.multiple import Multiple
from lrpilot.signals import Signals
from lrpilot.summary import RANGE

DIVERGED_AT = 1e4  # a run whose objective grew by this factor has diverged, and is over
GUIDE_UNIT = 3.0  # nats
GUIDE_SIZE = 1 + len(TRIED)  # entries of the hidden state: where the LR is, and what others would cost
FLOOR = 1e-12  # objectives below this share of the start count as solved


@dataclass(frozen=True)
class Decisions(Control):
    """How a policy acts, and how it practises.

    Attributes:
        steps: SGD steps between two decisions, on average; one value is drawn for each round of episodes.
        horizons: If given, the SGD steps of a run are drawn from this range instead, log-uniform.
        judged_every: Of so many decisions one is rewarded, for what happened since the last one, and the final one:
            the loss on held-out samples costs as much as several steps.
        guard: See `Limits`. With the strict one no LR over the bound has an effect.
        penalty: Subtracted from the reward when a run diverges, in nats.
        loss_only: Share of runs in which gradients can't be read, so that the policy learns to do without.
    """

    steps: tuple[int, ...] = (5,)
    horizons: tuple[int, int] | None = None
    judged_every: int = 1
    guard: Guard = "strict"
    penalty: float = 5.0
    loss_only: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        Limits(self.guard)
        if not self.steps or min(self.steps) < 1:
            raise OutOfRangeError("steps", self.steps, "positive numbers of SGD steps, at least one")
        if self.horizons is not None and not self.decisions <= self.horizons[0] <= self.horizons[1]:
            raise OutOfRangeError("horizons", self.horizons, f"None or a range from {self.decisions} (decisions) on")
        if self.judged_every < 1:
            raise OutOfRangeError("judged_every", self.judged_every, "at least 1")
        if not self.penalty >= 0:
            raise OutOfRangeError("penalty", self.penalty, "at least 0")
        if not 0 <= self.loss_only <= 1:
            raise OutOfRangeError("loss_only", self.loss_only, "in 0..1")


class Transition(NamedTuple):
    """What follows a decision: observation (B, S), reward (B,) and end of the run (B,)."""

    observation: NDArray[np.float32]
    reward: Floats
    terminated: NDArray[np.bool_]


class Process:
    """B runs of a task under one agent.

    A decision fixes the ratio of LR to anchored reference for the next `steps` SGD steps; the reference (a stability
    bound, or the base LR) is read anew before each step, and `Limits.clip` has the last word. With the guard
    off, the reference is read at decisions only.

    Args:
        task: What is being trained.
        decisions: How the agent acts.
        stratum: Which part of the range of horizons is drawn from, of how many equal ones.

        guided: Whether to try LRs beforehand, for a critic and for guidance (see `hidden`).

    Attributes:
        horizon: SGD steps of a run; drawn when all runs are reset.
        times: After which SGD steps decisions are made, and at last the horizon, shape (decisions + 1,).
    """

    def __init__(
        self, task: AbstractTask, decisions: Decisions, stratum: tuple[int, int] = (0, 1), guided: bool = False
    ) -> None:
        runs = task.batch_size
        self.task, self.config, self.limits = task, decisions, Limits(decisions.guard)
        self.batch_size, self.stratum, self.guided = runs, stratum, guided
        self.hidden_size = task.hidden_size + guided * GUIDE_SIZE
        self.signals = Signals()
        self.decision = np.zeros(runs, dtype=np.int64)
        self.diverged = np.zeros(runs, dtype=np.bool_)
        self.multiple = Multiple(decisions, np.full(runs, decisions.log_start), np.zeros(runs), np.ones(runs))
        self._heard = np.ones(runs, dtype=np.bool_)  # whether the last interval had a loss that counts
        self._begin(decisions.horizons[0] if decisions.horizons else decisions.steps[0] * decisions.decisions)
        self.lr: Floats = np.zeros(runs)
        self.reference: Floats = np.ones(runs)
        self._loss_only = np.zeros(runs, dtype=np.bool_)
        self._rng = np.random.default_rng()
        self._objective: Floats = np.ones(runs)
        self._initial: Floats = np.ones(runs)

    def seed(self, seed: int | np.random.SeedSequence | None) -> None:
        """Restart the one source of randomness."""
        self._rng = np.random.default_rng(seed)

    def reset(self, slots: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Begin new runs in all slots, or in those that are marked.

        Args:
            slots: Shape (B,), true where a new run begins.

        Returns:
            The observation of all runs, shape (B, S).
        """
        if slots is None or slots.all():
            slots = np.ones(self.task.batch_size, dtype=np.bool_)
            self._begin(self._drawn_horizon())
        elif self.config.power != 1 or self.config.first_interval is not None:
            raise ValueError(
                "with decisions.power above 1, or a first_interval, runs side by side are in step: reset all of them "
                "together"
            )
        self.task.reset(self._rng, slots)
        self.reference = self.task.reference()
        self.signals.restart(slots)
        if self.config.loss_only < 1:
            self.task.start_tracking(slots)
        self.decision[slots] = 0
        self.diverged[slots] = False
        self.multiple.restart(slots)
        self._heard[slots] = True
        self._loss_only[slots] = self._rng.random(int(slots.sum())) < self.config.loss_only
        if self.guided:
            self.tried = self.task.tried_lrs(self.horizon)
        objective = self.task.objective()
        self._initial = np.where(slots, objective, self._initial)
        self._objective = np.where(slots, objective, self._objective)
        return self.observation()

    def _drawn_horizon(self) -> int:
        if self.config.horizons is None:
            return int(self._rng.choice(self.config.steps)) * self.config.decisions
        (low, high), (index, count) = self.config.horizons, self.stratum
        return round(low * (high / low) ** ((index + self._rng.random()) / count))

    def _begin(self, horizon: int) -> None:
        """Fix when decisions are made in runs of `horizon` SGD steps."""
        self.horizon = horizon
        self.times = np.array([*self.config.times(horizon), horizon])

    def step(self, action: Floats) -> Transition:
        """Hold one decision until the next one is due.

        Args:
            action: Shape (B,), in [-1, 1].

        Returns:
            What follows; a run that diverged gets no further reward until `reset`.
        """
        self.multiple.decide(action, self._heard)
        held, made, steps = self.reference, self._steps_made(), self._steps_to_next()
        log_multiple, skipped = np.zeros(self.task.batch_size), np.zeros(self.task.batch_size, dtype=np.bool_)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for step in range(steps):
                reference = held if self.config.guard == "off" else self.reference
                multiple = self.config.multiple(self.multiple.held, (made + step) / self.horizon)
                self.lr = self.limits.clip(multiple * reference, self.reference)
                loss = self.task.sgd_step(self.lr)
                self.reference = self.task.reference()
                self.multiple.enter(loss)
                self.signals.observe(loss)
                skipped |= ~np.isfinite(loss)
                log_multiple += np.log(self.lr / reference) / steps
            self._heard = np.greater(self.signals.count, 0)
            self.signals.close(log_multiple, self.reference, *self._read_parameters())
            self.multiple.close(skipped, self._heard, self.signals.level)
        self.decision += 1
        judged = self.decision[0] % self.config.judged_every == 0 or self.over.any()
        reward = self._judge() if judged else np.zeros(self.batch_size)
        return Transition(self.observation(), reward, self.diverged | self.over)

    @property
    def over(self) -> NDArray[np.bool_]:
        """Which runs have come to the end of their horizon, shape (B,)."""
        return self.decision >= len(self.times) - 1

    @property
    def log_multiple(self) -> Floats:
        """Mean log of LR over its reference in the last interval, shape (B,)."""
        return np.broadcast_to(np.asarray(self.signals.log_multiple, dtype=np.float64), self.batch_size)

    def _steps_made(self) -> Floats:
        """SGD steps made at the last decision, shape (B,)."""
        return self.times[np.minimum(self.decision, len(self.times) - 1)]

    def _steps_to_next(self) -> int:
        """SGD steps until the next decision; the same for all runs, which are in step if intervals differ."""
        decision = min(int(self.decision[0]), len(self.times) - 2)
        return int(self.times[decision + 1] - self.times[decision])

    def _read_parameters(self) -> tuple[Floats, DisplacementCosines]:
        """What a training loop can read off gradients and weights, unless that is hidden from all runs."""
        if self.config.loss_only == 1:
            return np.full(self.task.batch_size, np.nan), UNKNOWN
        gradient_sq = np.where(self._loss_only, np.nan, self.task.gradient_sq())
        return gradient_sq, self.task.displacement_cosines()

    def _judge(self) -> Floats:
        """Decrease of the log objective, which telescopes over the run, minus the penalty of those that explode now."""
        objective = self.task.objective()
        now = ~self.diverged & ~(objective < DIVERGED_AT * self._initial)  # also true for NaN
        self.diverged |= now
        kept = np.where(self.diverged, self._objective, objective)
        floor = FLOOR * self._initial
        reward: Floats = np.log(np.maximum(self._objective, floor)) - np.log(np.maximum(kept, floor))
        self._objective = kept
        return reward - self.config.penalty * now

    def observation(self) -> NDArray[np.float32]:
        """Return what the agent sees now, shape (B, S)."""
        with np.errstate(invalid="ignore", over="ignore"):  # a diverged run shows zeros
            pace, horizon = (np.full(self.batch_size, x) for x in (self.horizon / self.config.decisions, self.horizon))
            vector = self.signals.vector(self._steps_made() / self.horizon, pace, horizon)
        observation = np.nan_to_num(vector.T, nan=0.0, posinf=RANGE, neginf=-RANGE)
        return observation.astype(np.float32, order="C")

    def hidden(self) -> NDArray[np.float32]:
        """Return the hidden state for a critic, shape (B, hidden_size), clipped like an observation.

        Where there is guidance, it comes first: (m + log of base LR over the LR that seems right) / `GUIDE_UNIT`, then
        the costs of the LRs that were tried; the task's hidden state follows.
        """
        hidden = np.nan_to_num(self.task.hidden(), nan=0.0)
        if self.guided:
            place = (self.multiple.log + self.tried.base) / GUIDE_UNIT
            hidden = np.column_stack([place, self.tried.costs, hidden])
        return np.clip(hidden, -RANGE, RANGE).astype(np.float32)
