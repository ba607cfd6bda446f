"""What each signal tells a policy: how much higher the final loss is without what the signal says of the run.

Runs on micro networks of validation are played again, side by side with the same weights and mini-batches, and in each
copy the policy is shown wrong values of one signal (or of a group): at each decision those that another run had at the
same decision. Signals that all runs share at a decision, as progress, are held at their mean instead. The measure is
the final log loss minus that of the untouched run, in nats, with 95 % bootstrap intervals over networks; a run that
ends above its start counts as its start. A second measure needs no runs and has hardly any noise, but says nothing of
use: how much the action changes, on average over what untouched runs saw.

A signal can tell much and still have a short bar, if others tell the same: groups show what they tell together. Some
values never occur together in a real run, and what a policy makes of those says little.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lrpilot.agents.evaluate import play
from lrpilot.agents.problem_sets import make_process, role_seed
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe, load_recipe
from lrpilot.control import Control
from lrpilot.envs.process import Process
from lrpilot.experiments.probes import Trace, trace
from lrpilot.experiments.stats import interval
from lrpilot.policy import SchedulePolicy
from lrpilot.signals import GRADIENT_SIGNALS, SIGNAL_NAMES

RECIPE = "universal"  # whose problems are played
TIME = ("progress", "steps", "horizon", "interval", "long_interval", "pace")
LR_SO_FAR = (
    "log_multiple", "best_multiple", "steepest_multiple", "peak", "log_multiple_change", "reference_change",
)  # fmt: skip
DIRECTIONS = ("turn", "persistence", "long_persistence", "mean_persistence", "descent", "mean_descent")
SIZES = ("gradient", "gradient_change", "efficiency", "mean_efficiency", "stride", "relative_stride")
FLAG = "has_gradient"  # the same in all runs that are compared
GROUPS = {
    "time": TIME,
    "the LR so far": LR_SO_FAR,
    "losses": tuple(name for name in SIGNAL_NAMES if name not in {*TIME, *LR_SO_FAR, *GRADIENT_SIGNALS}),
    "sizes of gradients and steps": SIZES,
    "directions of gradients and steps": DIRECTIONS,
    "all of gradients and weights": SIZES + DIRECTIONS,
}
Variants = dict[str, tuple[str, ...]]  # by title: the signals whose values are wrong
Tick = Callable[[int], None]  # called with the SGD steps that were made, of all runs side by side


class Sizes(NamedTuple):
    """How much is played.

    Attributes:
        networks: That runs are played on, by their SGD steps.
        problems: Of each, which differ in data, initial weights and base LR.
        recorded_networks: That wrong values are taken from.
        recorded_problems: Of each of those.
    """

    networks: dict[int, int]
    problems: int = 2
    recorded_networks: int = 8
    recorded_problems: int = 8

    def fewer(self, share: float) -> "Sizes":
        """Return the same with a share of the networks that runs are played on; two at least."""
        return self._replace(networks={steps: max(2, round(share * n)) for steps, n in self.networks.items()})


FULL = Sizes({200: 40, 1000: 16})
SMOKE = Sizes({60: 2}, 2, 2, 2)


def recipe_for(policy: SchedulePolicy, horizon: int) -> Recipe:
    """Return the recipe of micro networks with decisions that are made as a policy makes them.

    Args:
        policy: Any that begins with a base LR.
        horizon: SGD steps.
    """
    recipe = load_recipe(RECIPE)
    own = {field.name: getattr(policy.control, field.name) for field in fields(Control)}
    limits = (policy.control.decisions, max(horizon, policy.control.decisions))
    decisions = replace(recipe.decisions, **own, horizons=limits)
    return recipe.model_copy(update={"decisions": decisions, "horizon": horizon})


def batches(recipe: Recipe, networks: int, problems: int, hidden: bool, replicas: int = 1) -> Iterator[Process]:
    """Yield runs at their start, one network after the other, always the same ones.

    Args:
        recipe: The distribution of problems.
        networks: How many.
        problems: Of each.
        hidden: Whether gradients are hidden.
        replicas: Successive runs of each problem that differ in nothing.
    """
    for number in range(networks):
        process = make_process(recipe, "validation", problems * replicas, hidden, replicas)
        process.seed(role_seed("validation", number))
        process.reset()
        yield process


def record(policy: SchedulePolicy, hidden: bool, sizes: Sizes, tick: Tick = lambda _: None) -> dict[int, Trace]:
    """Play untouched runs and return what the policy saw.

    Args:
        policy: The policy.
        hidden: Whether gradients are hidden.
        sizes: How much is played.
        tick: Called after each network.

    Returns:
        By SGD steps of a run.
    """

    def started(horizon: int) -> Iterator[Process]:
        recipe, problems = recipe_for(policy, horizon), sizes.recorded_problems
        for process in batches(recipe, sizes.recorded_networks, problems, hidden):
            yield process
            tick(horizon * problems)

    return {horizon: trace(policy, started(horizon)) for horizon in sizes.networks}


def variants_of(policy: SchedulePolicy, hidden: bool) -> tuple[Variants, Variants]:
    """Return single signals and groups of them that a policy reads; without those of gradients where they are hidden.

    Args:
        policy: Any.
        hidden: Whether gradients are hidden.
    """
    read = [name for name in policy.card.signals if name != FLAG and not (hidden and name in GRADIENT_SIGNALS)]
    groups = {title: tuple(name for name in names if name in read) for title, names in GROUPS.items()}
    return {name: (name,) for name in read}, {title: names for title, names in groups.items() if len(names) > 1}


class Shuffled:
    """A policy that is shown wrong values, an `Act`: of successive runs each has another variant.

    Args:
        policy: The policy.
        variants: The signals whose values are wrong in each of R runs of a problem.
        recorded: What untouched runs saw, shape (K, S, D).
        means: Of each signal, shape (S,).
        seed: Of the choice of runs whose values are shown.
    """

    def __init__(
        self, policy: SchedulePolicy, variants: Sequence[Sequence[str]], recorded: Floats, means: Floats, seed: int
    ) -> None:
        self.policy, self.recorded, self.means = policy, recorded, means
        self.columns = [[SIGNAL_NAMES.index(name) for name in names] for names in variants]
        self.differs = np.ptp(recorded, axis=2).max(0) > 0  # between runs at the same decision, shape (S,)
        self._rng = np.random.default_rng(seed)

    def shown(self, observation: NDArray[Any], decision: int) -> NDArray[Any]:
        """Return what the policy sees.

        Args:
            observation: Of G problems with R runs each, shape (S, G·R).
            decision: Its index.

        Returns:
            The same shape.
        """
        shown, runs = observation.copy(), len(self.columns)
        for index, columns in enumerate(self.columns):
            others = self._rng.integers(self.recorded.shape[2], size=observation.shape[1] // runs)
            for column in columns:
                values = self.recorded[decision, column, others] if self.differs[column] else self.means[column]
                shown[column, index::runs] = values
        return shown

    def __call__(self, observation: NDArray[Any], decision: int) -> NDArray[Any]:
        """Return the actions, shape (G·R,)."""
        return self.policy.action(self.shown(observation, decision))


def effects(
    policy: SchedulePolicy, variants: Variants, records: Mapping[int, Trace], hidden: bool, sizes: Sizes, tick: Tick
) -> dict[int, Floats]:
    """Play the runs again with each variant.

    Args:
        policy: The policy.
        variants: Which signals are wrong, V variants.
        records: Of untouched runs, by SGD steps.
        hidden: Whether gradients are hidden.
        sizes: How much is played.
        tick: Called after each network.

    Returns:
        By SGD steps of a run: final log loss of untouched runs (first column), and by how much it is higher with each
        variant, nats, means over the problems of a network, shape (networks, 1 + V).
    """
    means = _means(records)
    wrong: list[tuple[str, ...]] = [(), *variants.values()]
    found: dict[int, Floats] = {}
    for horizon, networks in sizes.networks.items():
        recipe = recipe_for(policy, horizon)
        rows: list[Floats] = []
        floor = -np.inf if recipe.validation.floor is None else recipe.validation.floor
        for process in batches(recipe, networks, sizes.problems, hidden, len(wrong)):
            act = Shuffled(policy, wrong, records[horizon].observation, means, seed=len(rows))
            final = np.clip(play(act, process).final, floor, 0.0).reshape(-1, len(wrong))
            final[:, 1:] -= final[:, :1]
            rows.append(final.mean(0))
            tick(horizon * process.batch_size)
        found[horizon] = np.array(rows)
    return found


def work_of_record(sizes: Sizes) -> int:
    """Return the sum of what `record` ticks."""
    return sum(sizes.networks) * sizes.recorded_networks * sizes.recorded_problems


def work_of_effects(policy: SchedulePolicy, hidden: bool, sizes: Sizes) -> int:
    """Return the sum of what `effects` ticks."""
    runs = 1 + sum(map(len, variants_of(policy, hidden)))
    return sum(steps * networks for steps, networks in sizes.networks.items()) * sizes.problems * runs


def action_changes(policy: SchedulePolicy, variants: Variants, records: Mapping[int, Trace]) -> Floats:
    """Return how much actions differ from those of untouched runs where they saw wrong values, on average.

    Args:
        policy: The policy.
        variants: Which signals are wrong, V variants.
        records: Of untouched runs, by SGD steps, all counted alike.

    Returns:
        Mean absolute difference by variant, shape (V,).
    """
    means, changes = _means(records), []
    for record in records.values():
        act = Shuffled(policy, [*variants.values()], record.observation, means, seed=0)
        for decision, seen in enumerate(record.observation):
            copies = np.repeat(seen, len(variants), axis=1)
            changes.append(np.abs(act(copies, decision) - policy.action(copies)).reshape(-1, len(variants)).mean(0))
    return np.mean(changes, 0)


def _means(records: Mapping[int, Trace]) -> Floats:
    """Of each signal over all decisions and runs, all horizons alike, shape (S,)."""
    return np.mean([record.observation.mean((0, 2)) for record in records.values()], 0)


def measure(
    policy: SchedulePolicy, records: Mapping[int, Trace], hidden: bool, sizes: Sizes, tick: Tick = lambda _: None
) -> dict[str, Any]:
    """Measure what each signal and each group tells.

    Args:
        policy: The policy.
        records: What `record` returned, of the same mode and sizes.
        hidden: Whether gradients are hidden.
        sizes: How much is played.
        tick: Called after each network.

    Returns:
        Plain data: final log loss of untouched runs, nats, by SGD steps; and for each signal and group by how much it
        is higher, by SGD steps (mean, and both ends of the 95 % interval over networks), and how much actions change.
    """
    single, groups = variants_of(policy, hidden)
    variants = single | groups
    found = effects(policy, variants, records, hidden, sizes, tick)
    changes = action_changes(policy, variants, records)
    rows = {
        name: {
            "loss": {str(steps): _summary(values[:, 1 + index]) for steps, values in found.items()},
            "action": round(float(changes[index]), 4),
        }
        for index, name in enumerate(variants)
    }
    return {
        "untouched": {str(steps): round(float(values[:, 0].mean()), 4) for steps, values in found.items()},
        "signals": {name: rows[name] for name in single},
        "groups": {name: rows[name] for name in groups},
    }


def _summary(values: Floats) -> list[float]:
    return [round(float(value), 4) for value in (values.mean(), *interval(values))]
