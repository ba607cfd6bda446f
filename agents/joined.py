"""Two policies as one network: the first for short runs, the second for all others.

What a decision has to be depends on how many losses it rests on, and agents that train on runs of all lengths are
behind those that train on one kind (docs/log.md). A switch, a unit that is -1 on short runs and 1 on others, saturates
the hidden units of the policy that is not asked, and the output's bias takes away what they then add. So a joined
policy is a file like any other, and whatever reads policies reads it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.agents.train import train
from lrpilot.configs.recipe import NetRecipe
from lrpilot.policy import PolicyError, SchedulePolicy
from lrpilot.signals import Floats

SHORTER_PART = "shorter"  # folder of the agent for short runs, inside that of its run
PACE_UNIT = 3.0  # nats; what the signal `pace` is in units of
PUSH = 24.0  # added twice to the input of a unit that must saturate
SATURATED = 10.0  # tanh of more is 1 to the last bit
SHARPNESS = 2e4  # of the switch: it is at -1 or 1, to the last bit, for any two lengths of runs
SHARED = ("action", "decisions", "anchor", "log_low", "log_high", "max_change", "log_start", "reflex", "power")


def train_all(run: Run, console: Console) -> SchedulePolicy:
    """Train the agents of a run, or go on training them, and export their policy.

    Args:
        run: The folder and the recipe.
        console: Where progress is shown.

    Returns:
        The policy, also in `run.policy`: the best on validation problems; of two agents, both joined.
    """
    policy = train(run, console)
    recipe = run.recipe
    if isinstance(recipe, NetRecipe) and recipe.shorter and recipe.for_short_runs:
        console.print("and the agent for short runs")
        short = train(run.part(SHORTER_PART, recipe.for_short_runs), console)
        policy = join(short, policy, recipe.shorter.below)
    policy.save(run.policy)
    return policy


def join(short: SchedulePolicy, long: SchedulePolicy, below: float) -> SchedulePolicy:
    """Return the policy that acts as `short` on runs with fewer steps between two decisions, and else as `long`.

    Args:
        short: For short runs.
        long: For the others; the card is that of this one.
        below: Steps between two decisions of a run, on average, from which on it is no longer short.

    Returns:
        One policy; its actions are those of the one or the other, to rounding (1e-5). On its card `trained.shorter`
        says how long the first was trained.

    Raises:
        PolicyError: They act in different ways, their networks have not two hidden layers each, or weights so large
            that units can't be kept out.
    """
    different = [key for key in SHARED if short.card.get(key) != long.card.get(key)]
    if different:
        raise PolicyError(f"policies that act in different ways can't be joined: {', '.join(different)}")
    if {len(short.layers), len(long.layers)} != {3}:
        raise PolicyError("only policies with two hidden layers can be joined")
    if max(_reach(short), _reach(long)) > 2 * PUSH - SATURATED:
        raise PolicyError(f"weights of second layers that add up to more than {2 * PUSH - SATURATED:g} can't be joined")
    signals = list(dict.fromkeys([*long.card["signals"], *short.card["signals"], "pace"]))
    threshold = below - 0.5 / long.card["decisions"]  # between two lengths, so that none falls on it
    layers = (_first(short, long, signals, threshold), _second(short, long), _last(short, long))
    card = {**long.card, "signals": signals}
    if "trained" in long.card and "trained" in short.card:
        shorter = {key: short.card["trained"][key] for key in ("iterations", "decisions", "commit")}
        card["trained"] = {**long.card["trained"], "shorter": shorter}
    return SchedulePolicy(card, tuple((_float32(weight), _float32(bias)) for weight, bias in layers))


def _reach(policy: SchedulePolicy) -> float:
    """The most that the input of a unit in the second layer can be, either way."""
    weight, bias = policy.layers[1]
    return float((np.abs(weight).sum(1) + np.abs(bias)).max())


def _first(short: SchedulePolicy, long: SchedulePolicy, signals: list[str], threshold: float) -> tuple[Floats, Floats]:
    """Both first layers, each on its own signals, and the switch."""
    columns = [[signals.index(name) for name in policy.card["signals"]] for policy in (short, long)]
    weights = [np.zeros((len(policy.layers[0][1]), len(signals))) for policy in (short, long)]
    for weight, policy, own in zip(weights, (short, long), columns, strict=True):
        weight[:, own] = policy.layers[0][0]
    switch = np.zeros((1, len(signals)))
    switch[0, signals.index("pace")] = SHARPNESS
    bias = -SHARPNESS * math.log(threshold) / PACE_UNIT
    return np.vstack([*weights, switch]), np.hstack([short.layers[0][1], long.layers[0][1], bias])


def _second(short: SchedulePolicy, long: SchedulePolicy) -> tuple[Floats, Floats]:
    """Both second layers; a switch at 1 pushes the units of `short` to 1, one at -1 those of `long` to -1."""
    (a, a_bias), (b, b_bias) = short.layers[1], long.layers[1]
    weight = np.block([
        [a, np.zeros((len(a), b.shape[1])), np.full((len(a), 1), PUSH)],
        [np.zeros((len(b), a.shape[1])), b, np.full((len(b), 1), PUSH)],
        [np.zeros((1, a.shape[1] + b.shape[1])), np.full((1, 1), PUSH)],
    ])
    return weight, np.hstack([a_bias + PUSH, b_bias - PUSH, 0.0])


def _last(short: SchedulePolicy, long: SchedulePolicy) -> tuple[Floats, Floats]:
    """Both last layers; what the units that are not asked add is taken away by the switch and the bias."""
    (a, (a_bias,)), (b, (b_bias,)) = short.layers[2], long.layers[2]
    on_short = float(a_bias) + float(b.sum(dtype=np.float64))  # the units of `long` are at -1
    on_long = float(b_bias) - float(a.sum(dtype=np.float64))  # those of `short` at 1
    switch = np.full((1, 1), (on_long - on_short) / 2)
    return np.hstack([a, b, switch]), np.array([(on_long + on_short) / 2])


def _float32(values: Any) -> Any:
    return np.ascontiguousarray(values, dtype=np.float32)
