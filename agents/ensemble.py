"""An ensemble of policies as one network: for short runs and long ones, with their gradients or without.

What a decision has to be depends on how many losses it rests on and on what else can be read, and agents that train on
runs of all classes are behind those that train on one (docs/lab). Here each class of runs has its policies, whose
hidden units are saturated on all others, and a gate, a unit that is 1 on that class and -1 elsewhere, where it takes
away what they then add. So an ensemble is a file like any other, and whatever reads policies reads it.
"""

import math
from collections.abc import Sequence
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.agents.train import train
from lrpilot.arrays import Floats
from lrpilot.card import PolicyError
from lrpilot.configs import Recipe
from lrpilot.policy import SchedulePolicy
from lrpilot.signal import LONGEST_INTERVAL

FIRST = ""  # the name of a recipe's own agent, beside those of extra ones
PACE_UNIT = 3.0  # nats; what the signal `pace` is in units of
SATURATED = 12.0  # tanh of more is 1 to the last bit
LARGEST_PUSH = 96.0  # of a unit that must saturate; beyond it sums lose digits that count
SHARPNESS = 1e5  # of switches: they are at -1 or 1, to the last bit, for any two lengths of runs
RANGE = ("log_low", "log_high", "log_start")  # of what a policy sets: others may practise in another one
SHARED = ("action", "decisions", "anchor", "log_low", "log_high", "max_change", "log_start", "spike_guard", "power")


class RunClass(NamedTuple):
    """A class of runs.

    Attributes:
        least: Steps between two decisions that they have at least, on average.
        below: Steps that they have fewer than, or infinity; both at most `LONGEST_INTERVAL`, as which longer
            ones look.
        with_gradients: Whether they show their gradients.
    """

    least: float
    below: float
    with_gradients: bool

    @property
    def conditions(self) -> dict[tuple[str, float], float]:
        """What must hold: by switch, its signal and threshold, the side that it must be on, -1 or 1."""
        from_least = {("pace", self.least): 1.0} if self.least > 0 else {}
        to_below = {("pace", self.below): -1.0} if self.below < math.inf else {}
        return {("has_gradient", 0.5): 1.0 if self.with_gradients else -1.0, **from_least, **to_below}


class Member(NamedTuple):
    """Who acts on a class of runs: the actions of the policies are averaged, before they are clipped to [-1, 1]."""

    policies: tuple[SchedulePolicy, ...]
    run_class: RunClass


def train_all(run: Run, console: Console) -> SchedulePolicy:
    """Train the agents of a run, or go on training them, and export their policy.

    Args:
        run: The folder and the recipe.
        console: Where progress is shown.

    Returns:
        The policy, also in `run.policy`: the best on validation problems; of several agents, all in one.
    """
    agents = {FIRST: train(run, console)}
    for name, recipe in run.recipe.extra_recipes.items():
        console.print(f"and the agent {name!r}")
        agents[name] = train(run.part(name, recipe), console)
    policy = together(run.recipe, agents)
    policy.save(run.policy)
    return policy


def together(recipe: Recipe, agents: dict[str, SchedulePolicy]) -> SchedulePolicy:
    """Return the one policy of all agents of a recipe.

    On each class of runs acts the agent that is for it and sees losses alone: an extra one, or else the first. Where
    gradients are shown and an agent for such runs sees them, the actions of both are averaged. All begin and end where
    the first does, also those that were trained from another start or within other ends.

    Args:
        recipe: Says which of them acts when.
        agents: The first, under `FIRST`, and extra ones by their names.

    Returns:
        The policy, with the card of the first; under `trained` it says how long the others were trained.
    """
    first = agents[FIRST]
    if not recipe.extra_agents:
        return first
    common = {key: first.card[key] for key in RANGE if key in first.card}
    alike = {name: SchedulePolicy({**agent.card, **common}, agent.layers) for name, agent in agents.items()}
    members = [Member(_acting(recipe, alike, run_class), run_class) for run_class in _run_classes(recipe)]
    policy = combine(members, recipe.decisions.decisions)
    origins = {
        name: {key: agents[name].card["trained"][key] for key in ("iterations", "decisions", "commit")}
        for name in recipe.extra_agents
    }
    card = {**first.card, "signals": policy.card["signals"], "trained": {**first.card["trained"], **origins}}
    return SchedulePolicy(card, policy.layers)


def _run_classes(recipe: Recipe) -> list[RunClass]:
    """All classes of runs, as few as there can be."""
    classes = []
    for with_gradients in (False, True):
        ranges = [agent.steps for name, agent in recipe.extra_agents.items() if with_gradients or not recipe.sees(name)]
        edges = sorted({0.0, math.inf}.union(*ranges))
        classes += [RunClass(*edge, with_gradients) for edge in pairwise(edges)]
    return classes


def _acting(recipe: Recipe, agents: dict[str, SchedulePolicy], run_class: RunClass) -> tuple[SchedulePolicy, ...]:
    """Who acts on a class of runs."""
    ranges = {name: agent.steps for name, agent in recipe.extra_agents.items()}
    able = [name for name, (least, below) in ranges.items() if least <= run_class.least and run_class.below <= below]
    by_losses = next((agents[name] for name in able if not recipe.sees(name)), agents[FIRST])
    seeing = [agents[name] for name in able if run_class.with_gradients and recipe.sees(name)]
    return (by_losses, *seeing)


def combine(members: Sequence[Member], decisions: int) -> SchedulePolicy:
    """Return the policy that does on each class of runs what the policies that are for it do.

    The first layer of a policy is there once, however many members it acts in.

    Args:
        members: Policies, and what they are for; no two classes overlap. The card is that of the
            first policy, but for the signals.
        decisions: Of a run.

    Returns:
        One policy; its actions are those that are meant, to rounding (1e-5).

    Raises:
        PolicyError: They act in different ways, their networks have not two hidden layers each, or weights so large
            that units can't be kept out.
    """
    policies = list({id(policy): policy for member in members for policy in member.policies}.values())
    _check(policies)
    switches = list(dict.fromkeys(switch for member in members for switch in member.run_class.conditions))
    seen = [*(policy.card["signals"] for policy in policies), [name for name, _ in switches]]
    signals = list(dict.fromkeys(chain(*seen)))
    sides = np.array([[member.run_class.conditions.get(switch, 0.0) for switch in switches] for member in members])
    layers = (_first(policies, signals, switches, decisions), _second(members, policies, sides), _last(members))
    single: Any = tuple(tuple(np.ascontiguousarray(entry, dtype=np.float32) for entry in layer) for layer in layers)
    return SchedulePolicy({**policies[0].card, "signals": signals}, single)


def _check(policies: Sequence[SchedulePolicy]) -> None:
    one, *others = policies
    different = [key for key in SHARED if any(one.card.get(key) != other.card.get(key) for other in others)]
    if different:
        raise PolicyError(f"policies that act in different ways can't be combined: {', '.join(different)}")
    if {len(policy.layers) for policy in policies} != {3}:
        raise PolicyError("only policies with two hidden layers can be combined")


def _first(
    policies: Sequence[SchedulePolicy], signals: list[str], switches: list[tuple[str, float]], decisions: int
) -> tuple[Floats, Floats]:
    """All first layers, each on its own signals, and the switches."""
    weights = [np.zeros((len(policy.layers[0][1]), len(signals))) for policy in policies]
    for weight, policy in zip(weights, policies, strict=True):
        weight[:, [signals.index(name) for name in policy.card["signals"]]] = policy.layers[0][0]
    units = np.zeros((len(switches), len(signals)))
    for unit, (name, _) in zip(units, switches, strict=True):
        unit[signals.index(name)] = SHARPNESS
    thresholds = np.array([_pace(value, decisions) if name == "pace" else value for name, value in switches])
    biases = [policy.layers[0][1] for policy in policies]
    return np.vstack([*weights, units]), np.hstack([*biases, -SHARPNESS * thresholds])


def _pace(steps: float, decisions: int) -> float:
    """The signal `pace` between that of a run with so many steps and that of the next shorter one."""
    return math.log(min(max(steps - 0.5 / decisions, 0.5), LONGEST_INTERVAL)) / PACE_UNIT


def _second(members: Sequence[Member], policies: Sequence[SchedulePolicy], sides: Floats) -> tuple[Floats, Floats]:
    """The second layers of each member, and its gate; each switch on the wrong side pushes the units towards -1."""
    ends = np.cumsum([0, *(len(policy.layers[0][1]) for policy in policies)])
    columns = {id(policy): slice(*edges) for policy, edges in zip(policies, pairwise(ends), strict=True)}
    weights, biases = [], []
    for member, side in zip(members, sides, strict=True):
        push = (max(map(_reach, member.policies)) + SATURATED) / 2
        if push > LARGEST_PUSH:
            allowed = 2 * LARGEST_PUSH - SATURATED
            raise PolicyError(f"weights of second layers that add up to more than {allowed:g} can't be combined")
        for policy in member.policies:
            weight, bias = policy.layers[1]
            weights.append(np.hstack([np.zeros((len(bias), ends[-1])), np.tile(push * side, (len(bias), 1))]))
            weights[-1][:, columns[id(policy)]] = weight
            biases.append(bias - push * np.abs(side).sum())
    gates = np.hstack([np.zeros((len(members), ends[-1])), SATURATED * sides])
    return np.vstack([*weights, gates]), np.hstack([*biases, SATURATED * (1 - np.abs(sides).sum(1))])


def _reach(policy: SchedulePolicy) -> float:
    """The most that the input of a unit in the second layer can be, either way."""
    weight, bias = policy.layers[1]
    return float((np.abs(weight).sum(1) + np.abs(bias)).max())


def _last(members: Sequence[Member]) -> tuple[Floats, Floats]:
    """The last layers of each member; a gate at -1 takes away what its units, which then are at -1, add."""
    weights = [
        np.hstack([policy.layers[2][0] for policy in member.policies]) / len(member.policies) for member in members
    ]
    saturated = np.array([-weight.sum(dtype=np.float64) for weight in weights])
    wanted = np.array([np.mean([policy.layers[2][1] for policy in member.policies]) for member in members])
    gates = (wanted + saturated) / 2
    return np.hstack([*weights, gates[None]]), np.array([(wanted - saturated).sum() / 2])
