"""The decision process around a task: what an agent sees, does and is paid for, for B runs at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrpilot.anchor import ANCHORS, Anchor, anchor_multiple
from lrpilot.clipping import Guard, Limits
from lrpilot.envs.tasks.base import AbstractTask
from lrpilot.reflex import alarm, higher
from lrpilot.signals import RANGE, Floats, Signals
from lrpilot.timing import decision_times
from lrpilot.travel import UNKNOWN, Motion

EXPLODED = 1e4  # a run whose objective grew by this factor is over
LARGEST_LOSS = 1e30  # what a loss that is not finite counts as
FLOOR = 1e-12  # objectives below this share of the start count as solved


@dataclass(frozen=True)
class Decisions:
    """How often and how a policy acts.

    Attributes:
        decisions: Decisions in a run.
        steps: SGD steps between two decisions, on average; one value is drawn for each round of episodes.
        anchor: Base schedule that actions are multiples of; see `lrpilot.anchor`.
        log_low: Smallest log of LR over reference and anchor; the one of action −1.
        log_high: Largest; the one of action 1. With the strict guard no LR over the reference has an effect.
        max_change: If given, an action changes that log, by at most so much (action 1), instead of setting it.
        log_start: Where it then begins.
        power: 1: all intervals have as many steps as `steps` says. Above 1: as many on average, fewer in the beginning
            and more at the end; see `lrpilot.timing`.
        reflex: With a `max_change`: by how much that log falls at once when the loss is far above all before; see
            `lrpilot.reflex`. None: never.
        guard: See `Limits`.
        penalty: Subtracted from the reward when a run explodes, in nats.
        loss_only: Share of runs in which gradients can't be read, so that the policy learns to do without.
    """

    decisions: int = 40
    steps: tuple[int, ...] = (5,)
    anchor: Anchor = "constant"
    log_low: float = -5.0
    log_high: float = 0.0
    max_change: float | None = None
    log_start: float = 0.0
    power: float = 1.0
    reflex: float | None = None
    guard: Guard = "strict"
    penalty: float = 5.0
    loss_only: float = 0.0

    def __post_init__(self) -> None:
        if not 1 <= self.decisions <= 10_000:
            raise ValueError(f"decisions must be in 1..10000, not {self.decisions}")
        if not self.steps or min(self.steps) < 1:
            raise ValueError(f"steps must be positive numbers of SGD steps, at least one, not {self.steps}")
        if self.anchor not in ANCHORS:
            raise ValueError(f"anchor must be one of {', '.join(ANCHORS)}, not {self.anchor!r}")
        if not -20 <= self.log_low < self.log_high <= 20:
            raise ValueError(f"-20 <= log_low < log_high <= 20 must hold, not {self.log_low} and {self.log_high}")
        if self.max_change is not None and not (
            self.max_change > 0 and self.log_low <= self.log_start <= self.log_high
        ):
            raise ValueError(
                f"max_change must be positive, and log_start between log_low and log_high, not {self.max_change} and "
                f"{self.log_start}"
            )
        if not 1 <= self.power <= 4:
            raise ValueError(f"power must be in 1..4, not {self.power}")
        if self.reflex is not None and not (self.max_change is not None and 0 < self.reflex <= 20):
            raise ValueError(f"reflex must be above 0, at most 20 and come with a max_change, not {self.reflex}")
        if not (self.penalty >= 0 and 0 <= self.loss_only <= 1):
            raise ValueError(f"penalty must be >= 0 and loss_only in 0..1, not {self.penalty} and {self.loss_only}")

    def times(self, horizon: int) -> NDArray[np.int64]:
        """Return after which SGD steps of a run decisions are made, and at last the horizon: shape (decisions + 1,).

        Args:
            horizon: SGD steps of the run, a multiple of `decisions`.
        """
        return np.array([*decision_times(horizon, self.decisions, self.power), horizon])

    def log_multiple(self, action: Floats, current: Floats) -> Floats:
        """Map actions in [-1, 1] to the log of LR over its reference and anchor; any shape.

        Args:
            action: Clipped to [-1, 1].
            current: The log until now; at first `log_start`.
        """
        action = np.clip(action, -1.0, 1.0)
        if self.max_change is not None:
            changed: Floats = np.clip(current + action * self.max_change, self.log_low, self.log_high)
            return changed
        level: Floats = self.log_low + (action + 1) / 2 * (self.log_high - self.log_low)
        return level


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

    Attributes:
        steps: SGD steps between two decisions, on average; drawn when all runs are reset.
        times: After which SGD steps decisions are made, and at last the horizon, shape (decisions + 1,).
    """

    def __init__(self, task: AbstractTask, decisions: Decisions) -> None:
        self.task = task
        self.config = decisions
        self.limits = Limits(decisions.guard)
        self.signals = Signals()
        self.decision = np.zeros(task.batch_size, dtype=np.int64)
        self.exploded = np.zeros(task.batch_size, dtype=np.bool_)
        self._log_multiple: Floats = np.full(task.batch_size, decisions.log_start)
        self._highest: Floats = np.zeros(task.batch_size)  # finite loss so far
        self._begin(decisions.steps[0])
        self.lr: Floats = np.zeros(task.batch_size)
        self.reference: Floats = np.ones(task.batch_size)
        self._loss_only = np.zeros(task.batch_size, dtype=np.bool_)
        self._rng = np.random.default_rng()
        self._objective: Floats = np.ones(task.batch_size)
        self._initial: Floats = np.ones(task.batch_size)

    def seed(self, seed: int | None) -> None:
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
            self._begin(int(self._rng.choice(self.config.steps)))
        elif self.config.power != 1:
            raise ValueError("with decisions.power above 1 runs side by side are in step: reset all of them together")
        self.task.reset(self._rng, slots)
        self.reference = self.task.reference()
        self.signals.restart(slots)
        if self.config.loss_only < 1:
            self.task.depart(slots)
        self.decision[slots] = 0
        self.exploded[slots] = False
        self._log_multiple[slots] = self.config.log_start
        self._highest[slots] = 0.0
        self._loss_only[slots] = self._rng.random(int(slots.sum())) < self.config.loss_only
        objective = self.task.objective()
        self._initial = np.where(slots, objective, self._initial)
        self._objective = np.where(slots, objective, self._objective)
        return self.observation()

    def _begin(self, steps: int) -> None:
        """Fix when decisions are made, for `steps` SGD steps between two on average."""
        self.steps = steps
        self.times = self.config.times(steps * self.config.decisions)

    def step(self, action: Floats) -> Transition:
        """Hold one decision until the next one is due.

        Args:
            action: Shape (B,), in [-1, 1].

        Returns:
            What follows; a run that exploded gets no further reward until `reset`.
        """
        self._log_multiple = self.config.log_multiple(action, self._log_multiple)
        held, elapsed, steps = self.reference, self._elapsed(), self._steps_to_next()
        log_multiple: Floats = np.zeros(self.task.batch_size)
        with np.errstate(over="ignore", invalid="ignore"):
            for step in range(steps):
                reference = held if self.config.guard == "off" else self.reference
                progress = (elapsed + step / self.steps) / self.config.decisions
                anchored = np.exp(self._log_multiple) * anchor_multiple(self.config.anchor, progress)
                loss = self.advance(anchored * reference)
                self._react(loss)
                self.signals.observe(np.nan_to_num(loss, nan=LARGEST_LOSS, posinf=LARGEST_LOSS))
                log_multiple += np.log(self.lr / reference) / steps
            self.signals.close(log_multiple, self.reference, *self._read_parameters())
        self.decision += 1
        reward = self._judge()
        return Transition(self.observation(), reward, self.exploded | (self.decision >= self.config.decisions))

    def _elapsed(self) -> Floats:
        """Steps made at the last decision, in units of the mean interval, shape (B,)."""
        elapsed: Floats = self.times[np.minimum(self.decision, self.config.decisions)] / self.steps
        return elapsed

    def _steps_to_next(self) -> int:
        """SGD steps until the next decision; the same for all runs, which are in step if intervals differ."""
        decision = min(int(self.decision[0]), self.config.decisions - 1)
        return int(self.times[decision + 1] - self.times[decision])

    def _react(self, loss: Floats) -> None:
        if self.config.reflex is None:
            return
        lowered = np.maximum(self._log_multiple - self.config.reflex, self.config.log_low)
        self._log_multiple = np.where(alarm(loss, self._highest), lowered, self._log_multiple)
        self._highest = higher(loss, self._highest)

    def _read_parameters(self) -> tuple[Floats, Motion]:
        """What a training loop can read off gradients and weights, unless that is hidden from all runs."""
        if self.config.loss_only == 1:
            return np.full(self.task.batch_size, np.nan), UNKNOWN
        gradient_sq = np.where(self._loss_only, np.nan, self.task.gradient_sq())
        return gradient_sq, self.task.motion()

    def advance(self, lr: Floats) -> Floats:
        """Make one SGD step with the LR that the limits leave of the wanted one.

        Args:
            lr: Wanted LR per step, shape (B,).

        Returns:
            The mini-batch losses before the step, shape (B,).
        """
        self.lr = self.limits.clip(lr, self.reference)
        loss = self.task.sgd_step(self.lr)
        self.reference = self.task.reference()
        return loss

    def _judge(self) -> Floats:
        """Decrease of the log objective, which telescopes over the run, minus the penalty of those that explode now."""
        objective = self.task.objective()
        now = ~self.exploded & ~(objective < EXPLODED * self._initial)  # also true for NaN
        self.exploded |= now
        kept = np.where(self.exploded, self._objective, objective)
        floor = FLOOR * self._initial
        reward: Floats = np.log(np.maximum(self._objective, floor)) - np.log(np.maximum(kept, floor))
        self._objective = kept
        return reward * self.task.worth - self.config.penalty * now

    def observation(self) -> NDArray[np.float32]:
        """Return what the agent sees now, shape (B, S)."""
        with np.errstate(invalid="ignore", over="ignore"):  # an exploded run shows zeros
            pace = np.full(self.task.batch_size, float(self.steps))
            vector = self.signals.vector(self._elapsed() / self.config.decisions, pace)
        observation = np.nan_to_num(vector.T, nan=0.0, posinf=RANGE, neginf=-RANGE)
        return observation.astype(np.float32, order="C")

    def hidden(self) -> NDArray[np.float32]:
        """Return the task's hidden state for a critic, shape (B, hidden_size), clipped like an observation."""
        hidden = np.nan_to_num(self.task.hidden(), nan=0.0)
        return np.clip(hidden, -RANGE, RANGE).astype(np.float32)
