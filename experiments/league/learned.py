"""Learned policies as rivals, by the very callables that users load, and controls that tell what they owe to what."""

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import numpy as np
import yaml

from lrpilot.arrays import Floats
from lrpilot.configs import load_recipe
from lrpilot.envs.process import Process
from lrpilot.experiments.compare import untrained
from lrpilot.experiments.league.document import Kind
from lrpilot.experiments.league.rival import AbstractRival, play_controlled, stepper
from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.tuning import Control
from lrpilot.policy import SchedulePolicy, load_policy
from lrpilot.schedule import Schedule

LOWEST = 1e-12  # LR, in the workload's unit, that lower ones count as in a mean of logs
Choose = Callable[[Workload], SchedulePolicy]


class Learned(AbstractRival):
    """A learned policy, or for each family of tasks one.

    Args:
        name: Of the row.
        source: For the report.
        choose: Returns the policy for a workload.
        tuned: Whether its base LR is tuned like that of any other rival.
        kind: "learned", or "control".
    """

    def __init__(
        self,
        name: str,
        source: str,
        choose: Choose,
        tuned: bool = False,
        kind: Kind = "learned",
        training_passes: float = 0.0,
    ) -> None:
        super().__init__(name, kind, source, tuned=tuned, training_passes=training_passes)
        self.choose = choose

    def fingerprint(self, workload: Workload) -> str:
        """Return the fingerprint of the policy for a workload."""
        return self.choose(workload).fingerprint

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run the policy from several base LRs; see `AbstractRival.play`."""
        policy = self.choose(workload)
        process = workload.start(len(multiples))
        return play_controlled(policy_control(policy, multiples, process), process, len(multiples))


class Replay(Learned):
    """The mean schedule of a policy, whatever a run looks like.

    The logs of its LRs are averaged over the problems for tuning; with `level`, each run has its own mean level back,
    which no schedule could know before the run.

    Args:
        name: Of the row.
        source: For the report.
        choose: Returns the policy for a workload.
        level: Whether levels are given back.
    """

    def __init__(self, name: str, source: str, choose: Choose, level: bool) -> None:
        super().__init__(name, source, choose, kind="control")
        self.level = level

    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run the policy, then replay it; see `AbstractRival.play`."""
        logs = self._logs(multiples, workload)  # (T, 2P, C)
        mean = logs[:, : workload.problems].mean(1, keepdims=True)
        replayed = np.broadcast_to(mean, logs.shape)
        if self.level:
            replayed = replayed + (logs - mean).mean(0)
        process = workload.start(len(multiples))
        lrs = np.exp(replayed.reshape(len(logs), -1))
        return play_controlled(lambda step, _: lrs[step] * process.reference, process, len(multiples))

    def _logs(self, multiples: Floats, workload: Workload) -> Floats:
        """Logs of the policy's LRs in the workload's unit, step by step."""
        process = workload.start(len(multiples))
        step = stepper(policy_control(self.choose(workload), multiples, process), process)
        with np.errstate(over="ignore", invalid="ignore"):
            lrs = np.array([step(index) for index in range(workload.horizon)])
        return np.log(np.maximum(lrs, LOWEST)).reshape(workload.horizon, -1, len(multiples))


def policy_control(policy: SchedulePolicy, multiples: Floats, process: Process) -> Control:
    """Return a policy as `run_controlled` wants it: one `Schedule` for each run.

    Args:
        policy: One whose action is a multiple of the base LR sees losses alone unless it knows gradients; one whose
            action is a fraction of the bound is given the bound.
        multiples: Base LRs in the process's unit, shape (C,).
        process: At its start.
    """
    horizon, task = int(process.times[-1]), process.task
    base = np.tile(multiples, task.batch_size // len(multiples)) * process.reference
    bounds = [partial(_bound_of, process, run) if _bounded(policy) else None for run in range(len(base))]
    schedules = [
        policy.schedule(base_lr=float(lr), horizon=horizon, bound=bound) for lr, bound in zip(base, bounds, strict=True)
    ]

    def control(step: int, losses: Floats) -> Floats:
        if step:
            _advance(schedules, losses, process, policy.reads_gradients and schedules[0].decides_at <= step)
        return np.array([schedule.lr for schedule in schedules])

    return control


def _advance(schedules: list[Schedule], losses: Floats, process: Process, reads: bool) -> None:
    if not reads:
        for schedule, loss in zip(schedules, losses, strict=True):
            schedule(float(loss))
        return
    task = process.task
    seen = zip(schedules, losses, task.gradient_sq(), task.weights(), task.gradients(), strict=True)
    for schedule, loss, gradient_sq, weights, gradient in seen:
        schedule(float(loss), float(gradient_sq), weights, gradient)


def _bounded(policy: SchedulePolicy) -> bool:
    return bool(policy.card["action"] == "fraction_of_bound")


def _bound_of(process: Process, run: int) -> float:
    return float(process.reference[run])


def universal(_: Workload) -> SchedulePolicy:
    """Return the policy for everything."""
    return load_policy("universal")


def of_family(workload: Workload) -> SchedulePolicy:
    """Return the policy of the workload's own family."""
    return load_policy(workload.family)


def untrained_universal(_: Workload) -> SchedulePolicy:
    """Return the universal policy as it was before training."""
    return _untrained_universal()


@cache
def _untrained_universal() -> SchedulePolicy:
    return untrained(load_recipe("universal"))


def training_passes(policy: SchedulePolicy) -> float:
    """Return the gradient evaluations of a policy's meta-training, from the recipe on its card.

    Policies of earlier versions may hold several agents, which all count.
    """
    recipe = yaml.safe_load(policy.card["trained"]["recipe"])
    extra_agents = [agent["overrides"] for agent in recipe.get("extra_agents", {}).values()]
    return sum(_passes(recipe, overrides) for overrides in ({}, *extra_agents))


def _passes(recipe: dict[str, Any], overrides: dict[str, Any]) -> float:
    ppo, decisions = ({**recipe[section], **overrides.get(section, {})} for section in ("ppo", "decisions"))
    if decisions.get("horizons"):
        low, high = decisions["horizons"]  # drawn log-uniformly
        steps = (high - low) / np.log(high / low) if low < high else low
    else:
        steps = decisions["decisions"] * np.mean(decisions["steps"])
    return float(ppo["iterations"] * ppo["parallel"] * steps)
