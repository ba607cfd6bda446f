"""Policies for different kinds of runs as one network: for short runs and long ones, with their gradients or without.

What a decision has to be depends on how many losses it rests on and on what else can be read, and agents that train on
runs of all kinds are behind those that train on one (docs/log.md). Each policy has a gate, a unit that is 1 on its kind
of runs and -1 on others. There it saturates the hidden units of the policy, and takes away what they then add. So a
joined policy is a file like any other, and whatever reads policies reads it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from scipy.linalg import block_diag

from lrpilot.agents.run import Run
from lrpilot.agents.train import train
from lrpilot.configs.recipe import NetRecipe, Recipe
from lrpilot.policy import PolicyError, SchedulePolicy
from lrpilot.signals import LONGEST_TOLD, Floats

FIRST = ""  # the name of a recipe's own agent, beside those of further ones
PACE_UNIT = 3.0  # nats; what the signal `pace` is in units of
SATURATED = 12.0  # tanh of more is 1 to the last bit
LARGEST_PUSH = 96.0  # of a unit that must saturate; beyond it sums lose digits that count
SHARPNESS = 1e5  # of switches: they are at -1 or 1, to the last bit, for any two lengths of runs
SHARED = ("action", "decisions", "anchor", "log_low", "log_high", "max_change", "log_start", "reflex", "power")


class Kind(NamedTuple):
    """A kind of runs.

    Attributes:
        least: Steps between two decisions that they have at least, on average.
        below: Steps that they have fewer than, or infinity; both at most `LONGEST_TOLD`, which longer ones look like.
        sighted: Whether they show their gradients.
    """

    least: float
    below: float
    sighted: bool

    @property
    def conditions(self) -> dict[tuple[str, float], float]:
        """What must hold: by switch, its signal and threshold, the side that it must be on, -1 or 1."""
        from_least = {("pace", self.least): 1.0} if self.least > 0 else {}
        to_below = {("pace", self.below): -1.0} if self.below < math.inf else {}
        return {("has_gradient", 0.5): 1.0 if self.sighted else -1.0, **from_least, **to_below}


def train_all(run: Run, console: Console) -> SchedulePolicy:
    """Train the agents of a run, or go on training them, and export their policy.

    Args:
        run: The folder and the recipe.
        console: Where progress is shown.

    Returns:
        The policy, also in `run.policy`: the best on validation problems; of several agents, all in one.
    """
    agents = {FIRST: train(run, console)}
    further = run.recipe.further_recipes if isinstance(run.recipe, NetRecipe) else {}
    for name, recipe in further.items():
        console.print(f"and the agent {name!r}")
        agents[name] = train(run.part(name, recipe), console)
    policy = together(run.recipe, agents)
    policy.save(run.policy)
    return policy


def together(recipe: Recipe, agents: dict[str, SchedulePolicy]) -> SchedulePolicy:
    """Return the one policy of all agents of a recipe.

    On each kind of runs acts the agent that is for it and sees losses alone: a further one, or else the first. Where
    gradients are shown and an agent for such runs sees them, the mean of what both do is done.

    Args:
        recipe: Says which of them acts when.
        agents: The first, under `FIRST`, and further ones by their names.

    Returns:
        The policy, with the card of the first; under `trained` it says how long the others were trained.
    """
    first = agents[FIRST]
    if not isinstance(recipe, NetRecipe) or not recipe.further:
        return first
    policy = join([(_acting(recipe, agents, kind), kind) for kind in _kinds(recipe)], recipe.decisions.decisions)
    origins = {
        name: {key: agents[name].card["trained"][key] for key in ("iterations", "decisions", "commit")}
        for name in recipe.further
    }
    card = {**first.card, "signals": policy.card["signals"], "trained": {**first.card["trained"], **origins}}
    return SchedulePolicy(card, policy.layers)


def _kinds(recipe: NetRecipe) -> list[Kind]:
    """All kinds of runs, as few as there can be."""
    kinds = []
    for sighted in (False, True):
        ranges = [agent.steps for name, agent in recipe.further.items() if sighted or not recipe.sees(name)]
        edges = sorted({0.0, math.inf}.union(*ranges))
        kinds += [Kind(*edge, sighted) for edge in pairwise(edges)]
    return kinds


def _acting(recipe: NetRecipe, agents: dict[str, SchedulePolicy], kind: Kind) -> SchedulePolicy:
    """What acts on a kind of runs."""
    ranges = {name: agent.steps for name, agent in recipe.further.items()}
    able = [name for name, (least, below) in ranges.items() if least <= kind.least and kind.below <= below]
    by_losses = next((agents[name] for name in able if not recipe.sees(name)), agents[FIRST])
    seeing = next((agents[name] for name in able if kind.sighted and recipe.sees(name)), None)
    return mean(by_losses, seeing) if seeing else by_losses


def mean(one: SchedulePolicy, other: SchedulePolicy) -> SchedulePolicy:
    """Return the policy whose action is the mean of those of two others, before they are clipped to [-1, 1].

    Args:
        one: Its card is kept, but for the signals.
        other: Must act in the same way, and have two hidden layers, too.

    Raises:
        PolicyError: They can't be put together.
    """
    _check([one, other])
    layers = (
        (np.vstack(_on(_signals([one, other]), [one, other])), _biases(0, [one, other])),
        (block_diag(one.layers[1][0], other.layers[1][0]), _biases(1, [one, other])),
        (np.hstack([one.layers[2][0], other.layers[2][0]]) / 2, (one.layers[2][1] + other.layers[2][1]) / 2),
    )
    return SchedulePolicy({**one.card, "signals": _signals([one, other])}, _single(layers))


def join(parts: Sequence[tuple[SchedulePolicy, Kind]], decisions: int) -> SchedulePolicy:
    """Return the policy that acts on each kind of runs as the policy that is for it.

    Args:
        parts: Policies, and what each is for; no two kinds overlap. The card of the first is kept, but for the signals.
        decisions: Of a run.

    Returns:
        One policy; its actions are those of the one that is meant, to rounding (1e-5).

    Raises:
        PolicyError: They act in different ways, their networks have not two hidden layers each, or weights so large
            that units can't be kept out.
    """
    policies = [policy for policy, _ in parts]
    _check(policies)
    switches = list(dict.fromkeys(switch for _, kind in parts for switch in kind.conditions))
    signals = _signals(policies, [name for name, _ in switches])
    sides = np.array([[kind.conditions.get(switch, 0.0) for switch in switches] for _, kind in parts])
    layers = (_first(policies, signals, switches, decisions), _second(policies, sides), _last(policies))
    return SchedulePolicy({**policies[0].card, "signals": signals}, _single(layers))


def _check(policies: Sequence[SchedulePolicy]) -> None:
    one, *others = policies
    different = [key for key in SHARED if any(one.card.get(key) != other.card.get(key) for other in others)]
    if different:
        raise PolicyError(f"policies that act in different ways can't be joined: {', '.join(different)}")
    if {len(policy.layers) for policy in policies} != {3}:
        raise PolicyError("only policies with two hidden layers can be joined")


def _signals(policies: Sequence[SchedulePolicy], more: Sequence[str] = ()) -> list[str]:
    return list(dict.fromkeys([*(name for policy in policies for name in policy.card["signals"]), *more]))


def _on(signals: list[str], policies: Sequence[SchedulePolicy]) -> list[Floats]:
    """First layers of policies, each with a column for every signal."""
    weights = [np.zeros((len(policy.layers[0][1]), len(signals))) for policy in policies]
    for weight, policy in zip(weights, policies, strict=True):
        weight[:, [signals.index(name) for name in policy.card["signals"]]] = policy.layers[0][0]
    return weights


def _biases(layer: int, policies: Sequence[SchedulePolicy]) -> Floats:
    return np.concatenate([policy.layers[layer][1] for policy in policies]).astype(np.float64)


def _first(
    policies: Sequence[SchedulePolicy], signals: list[str], switches: list[tuple[str, float]], decisions: int
) -> tuple[Floats, Floats]:
    """All first layers, each on its own signals, and the switches."""
    units = np.zeros((len(switches), len(signals)))
    for unit, (name, _) in zip(units, switches, strict=True):
        unit[signals.index(name)] = SHARPNESS
    thresholds = np.array([_pace(value, decisions) if name == "pace" else value for name, value in switches])
    return np.vstack([*_on(signals, policies), units]), np.hstack([_biases(0, policies), -SHARPNESS * thresholds])


def _pace(steps: float, decisions: int) -> float:
    """The signal `pace` between that of a run with so many steps and that of the next shorter one."""
    return math.log(min(max(steps - 0.5 / decisions, 0.5), LONGEST_TOLD)) / PACE_UNIT


def _second(policies: Sequence[SchedulePolicy], sides: Floats) -> tuple[Floats, Floats]:
    """All second layers, and the gates; each switch on the wrong side pushes the units of a policy towards -1."""
    pushes = [(_reach(policy) + SATURATED) / 2 for policy in policies]
    if max(pushes) > LARGEST_PUSH:
        allowed = 2 * LARGEST_PUSH - SATURATED
        raise PolicyError(f"weights of second layers that add up to more than {allowed:g} can't be joined")
    units = [len(policy.layers[1][1]) for policy in policies]
    of_switches = np.repeat(np.array(pushes)[:, None] * sides, units, 0)
    wrong_side_costs = np.repeat(np.array(pushes) * np.abs(sides).sum(1), units)
    bodies = block_diag(*(policy.layers[1][0] for policy in policies))
    gates = np.hstack([np.zeros((len(policies), bodies.shape[1])), SATURATED * sides])
    weight = np.vstack([np.hstack([bodies, of_switches]), gates])
    return weight, np.hstack([_biases(1, policies) - wrong_side_costs, SATURATED * (1 - np.abs(sides).sum(1))])


def _reach(policy: SchedulePolicy) -> float:
    """The most that the input of a unit in the second layer can be, either way."""
    weight, bias = policy.layers[1]
    return float((np.abs(weight).sum(1) + np.abs(bias)).max())


def _last(policies: Sequence[SchedulePolicy]) -> tuple[Floats, Floats]:
    """All last layers; a gate at -1 takes away what the units of its policy, which then are at -1, add."""
    saturated = np.array([-policy.layers[2][0].sum(dtype=np.float64) for policy in policies])
    wanted = _biases(2, policies)
    gates = (wanted + saturated) / 2
    weight = np.hstack([*(policy.layers[2][0] for policy in policies), gates[None]])
    return weight, np.array([(wanted - saturated).sum() / 2])


def _single(layers: Sequence[tuple[Any, Any]]) -> Any:
    """Layers in single precision."""
    return tuple(tuple(np.ascontiguousarray(part, dtype=np.float32) for part in layer) for layer in layers)
