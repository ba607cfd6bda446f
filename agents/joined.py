"""Policies for different kinds of runs as one network: for short runs, for those that show their gradients, for others.

What a decision has to be depends on how many losses it rests on and on what else can be read, and agents that train on
runs of all kinds are behind those that train on one (docs/log.md). A switch, a unit that is -1 on one kind of runs and
1 on the others, saturates the hidden units of the policy that is not asked, and the output's bias takes away what they
then add. So a joined policy is a file like any other, and whatever reads policies reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.agents.train import train
from lrpilot.configs.recipe import NetRecipe, Recipe
from lrpilot.policy import PolicyError, SchedulePolicy
from lrpilot.signals import LONGEST_TOLD, Floats

SHORTER_PART, SIGHTED_PART = "shorter", "sighted"  # folders of the further agents, inside that of their run
PACE_UNIT = 3.0  # nats; what the signal `pace` is in units of
PUSH = 24.0  # added twice to the input of a unit that must saturate; more where weights are large
LARGEST_PUSH = 96.0  # beyond it the sums of a unit lose digits that count
SATURATED = 10.0  # tanh of more is 1 to the last bit
SHARPNESS = 1e5  # of the switch: it is at -1 or 1, to the last bit, for any two lengths of runs
SHARED = ("action", "decisions", "anchor", "log_low", "log_high", "max_change", "log_start", "reflex", "power")


class Switch(NamedTuple):
    """What tells two kinds of runs apart: whether a weighted sum of signals is above a threshold.

    Attributes:
        weights: By signal.
        threshold: Of the sum.
    """

    weights: dict[str, float]
    threshold: float


def long_runs(steps: float, decisions: int) -> Switch:
    """Tell runs with at least so many steps between two decisions from shorter ones.

    Args:
        steps: Between two decisions, on average.
        decisions: Of a run.
    """
    return Switch({"pace": 1.0}, _pace(steps, decisions))


def sighted_runs(steps: float, decisions: int) -> Switch:
    """Tell runs that show their gradients and have fewer steps between two decisions from all others.

    Args:
        steps: Between two decisions, on average.
        decisions: Of a run.
    """
    worth = 2 * math.log(LONGEST_TOLD) / PACE_UNIT  # a gradient counts for more than any length
    return Switch({"has_gradient": worth, "pace": -1.0}, worth - _pace(steps, decisions))


def _pace(steps: float, decisions: int) -> float:
    """The signal `pace` between that of a run with so many steps and that of the next shorter one."""
    return math.log(max(steps - 0.5 / decisions, 0.5)) / PACE_UNIT


def train_all(run: Run, console: Console) -> SchedulePolicy:
    """Train the agents of a run, or go on training them, and export their policy.

    Args:
        run: The folder and the recipe.
        console: Where progress is shown.

    Returns:
        The policy, also in `run.policy`: the best on validation problems; of several agents, all in one.
    """
    agents = {"": train(run, console)}
    recipe = run.recipe
    if isinstance(recipe, NetRecipe) and recipe.for_sighted_runs:
        console.print("and the agent for runs that show their gradients")
        agents[SIGHTED_PART] = train(run.part(SIGHTED_PART, recipe.for_sighted_runs), console)
    if isinstance(recipe, NetRecipe) and recipe.for_short_runs:
        console.print("and the agent for short runs")
        agents[SHORTER_PART] = train(run.part(SHORTER_PART, recipe.for_short_runs), console)
    policy = together(recipe, agents)
    policy.save(run.policy)
    return policy


def together(recipe: Recipe, agents: dict[str, SchedulePolicy]) -> SchedulePolicy:
    """Return the one policy of all agents of a recipe.

    Args:
        recipe: Says which of them acts when.
        agents: The first, under "", and further ones by the name of their part. On runs that show their gradients the
            mean of what the first and the sighted one do is done.

    Returns:
        The policy, with the card of the first; under `trained` it says how long the others were trained.
    """
    policy = first = agents[""]
    decisions = recipe.decisions.decisions
    if isinstance(recipe, NetRecipe) and recipe.sighted:
        switch = sighted_runs(recipe.sighted.below, decisions)
        policy = join(policy, mean(first, agents[SIGHTED_PART]), switch)
    if isinstance(recipe, NetRecipe) and recipe.shorter:
        policy = join(agents[SHORTER_PART], policy, long_runs(recipe.shorter.below, decisions))
    origins = {
        name: {key: agent.card["trained"][key] for key in ("iterations", "decisions", "commit")}
        for name, agent in agents.items()
        if name
    }
    card = {**first.card, "signals": policy.card["signals"], "trained": {**first.card["trained"], **origins}}
    return SchedulePolicy(card, policy.layers)


def mean(one: SchedulePolicy, other: SchedulePolicy) -> SchedulePolicy:
    """Return the policy whose action is the mean of those of two others, before they are clipped to [-1, 1].

    Args:
        one: Its card is kept, but for the signals.
        other: Must act in the same way, and have two hidden layers, too.

    Raises:
        PolicyError: They can't be put together.
    """
    _check(one, other)
    signals = list(dict.fromkeys([*one.card["signals"], *other.card["signals"]]))
    (a, a_bias), (b, b_bias) = one.layers[1], other.layers[1]
    second = np.block([[a, np.zeros((len(a), b.shape[1]))], [np.zeros((len(b), a.shape[1])), b]])
    (a, last_a), (b, last_b) = one.layers[2], other.layers[2]
    layers = (
        (np.vstack(_on(signals, one, other)), np.hstack([one.layers[0][1], other.layers[0][1]])),
        (second, np.hstack([a_bias, b_bias])),
        (np.hstack([a, b]) / 2, (last_a + last_b) / 2),
    )
    return SchedulePolicy({**one.card, "signals": signals}, _single(layers))


def join(below: SchedulePolicy, above: SchedulePolicy, switch: Switch) -> SchedulePolicy:
    """Return the policy that acts as `above` where the switch is on, and else as `below`.

    Args:
        below: For runs that keep the switch off.
        above: For the others; its card is kept, but for the signals.
        switch: What tells them apart.

    Returns:
        One policy; its actions are those of the one or the other, to rounding (1e-5).

    Raises:
        PolicyError: They act in different ways, their networks have not two hidden layers each, or weights so large
            that units can't be kept out.
    """
    _check(below, above)
    push = max(PUSH, (max(_reach(below), _reach(above)) + SATURATED) / 2)
    if push > LARGEST_PUSH:
        allowed = 2 * LARGEST_PUSH - SATURATED
        raise PolicyError(f"weights of second layers that add up to more than {allowed:g} can't be joined")
    signals = list(dict.fromkeys([*above.card["signals"], *below.card["signals"], *switch.weights]))
    layers = (_first(below, above, signals, switch), _second(below, above, push), _last(below, above))
    return SchedulePolicy({**above.card, "signals": signals}, _single(layers))


def _check(one: SchedulePolicy, other: SchedulePolicy) -> None:
    different = [key for key in SHARED if one.card.get(key) != other.card.get(key)]
    if different:
        raise PolicyError(f"policies that act in different ways can't be joined: {', '.join(different)}")
    if {len(one.layers), len(other.layers)} != {3}:
        raise PolicyError("only policies with two hidden layers can be joined")


def _on(signals: list[str], *policies: SchedulePolicy) -> list[Floats]:
    """First layers of policies, each with a column for every signal."""
    weights = [np.zeros((len(policy.layers[0][1]), len(signals))) for policy in policies]
    for weight, policy in zip(weights, policies, strict=True):
        weight[:, [signals.index(name) for name in policy.card["signals"]]] = policy.layers[0][0]
    return weights


def _reach(policy: SchedulePolicy) -> float:
    """The most that the input of a unit in the second layer can be, either way."""
    weight, bias = policy.layers[1]
    return float((np.abs(weight).sum(1) + np.abs(bias)).max())


def _first(below: SchedulePolicy, above: SchedulePolicy, signals: list[str], switch: Switch) -> tuple[Floats, Floats]:
    """Both first layers, each on its own signals, and the switch."""
    unit = np.zeros((1, len(signals)))
    for name, worth in switch.weights.items():
        unit[0, signals.index(name)] = SHARPNESS * worth
    bias = -SHARPNESS * switch.threshold
    return np.vstack([*_on(signals, below, above), unit]), np.hstack([below.layers[0][1], above.layers[0][1], bias])


def _second(below: SchedulePolicy, above: SchedulePolicy, push: float) -> tuple[Floats, Floats]:
    """Both second layers; a switch at 1 pushes the units of `below` to 1, one at -1 those of `above` to -1."""
    (a, a_bias), (b, b_bias) = below.layers[1], above.layers[1]
    weight = np.block([
        [a, np.zeros((len(a), b.shape[1])), np.full((len(a), 1), push)],
        [np.zeros((len(b), a.shape[1])), b, np.full((len(b), 1), push)],
        [np.zeros((1, a.shape[1] + b.shape[1])), np.full((1, 1), push)],
    ])
    return weight, np.hstack([a_bias + push, b_bias - push, 0.0])


def _last(below: SchedulePolicy, above: SchedulePolicy) -> tuple[Floats, Floats]:
    """Both last layers; what the units that are not asked add is taken away by the switch and the bias."""
    (a, (a_bias,)), (b, (b_bias,)) = below.layers[2], above.layers[2]
    when_off = float(a_bias) + float(b.sum(dtype=np.float64))  # the units of `above` are at -1
    when_on = float(b_bias) - float(a.sum(dtype=np.float64))  # those of `below` at 1
    unit = np.full((1, 1), (when_on - when_off) / 2)
    return np.hstack([a, b, unit]), np.array([(when_on + when_off) / 2])


def _single(layers: Sequence[tuple[Any, Any]]) -> Any:
    """Layers in single precision."""
    return tuple(tuple(np.ascontiguousarray(part, dtype=np.float32) for part in layer) for layer in layers)
