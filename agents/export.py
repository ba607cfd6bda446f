"""From a Stable-Baselines3 model to a policy file."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import nn

from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.envs.process import Decisions
from lrpilot.policy import FORMAT, PolicyError, SchedulePolicy

# What holds where a card says nothing.
PLAIN = {"anchor": "constant", "max_change": None, "log_start": 0.0, "reflex": None, "power": 1.0}


def export(model: PPO, name: str, action: str, decisions: Decisions, **provenance: Any) -> SchedulePolicy:
    """Take the deterministic policy out of a PPO model: the running average of its actor.

    Args:
        model: With an `AsymmetricPolicy`.
        name: Name on the card.
        action: What the LR is a multiple of, one of `lrpilot.policy.ACTIONS`.
        decisions: How the agent acted in training.
        **provenance: Further entries of the card, plain JSON data.

    Returns:
        The policy: without averaging, the same actions as `model.predict(…, deterministic=True)`, to rounding.
    """
    policy = model.policy
    assert isinstance(policy, AsymmetricPolicy)
    layers = []
    for linear in policy.averaged_actor:
        if isinstance(linear, nn.Linear):
            weight = linear.weight.cpu().numpy().astype(np.float32).copy()
            layers.append((weight, linear.bias.cpu().numpy().astype(np.float32).copy()))
    card = {"format": FORMAT, "name": name, "action": action, "signals": list(policy.signals), **manner(decisions)}
    return SchedulePolicy({**card, **provenance}, tuple(layers))


def manner(decisions: Decisions) -> dict[str, Any]:
    """Return what a card says of how its policy acts: how often, and what its actions mean."""
    entries = {
        "decisions": decisions.decisions,
        "anchor": decisions.anchor,
        "log_low": decisions.log_low,
        "log_high": decisions.log_high,
    }
    if decisions.max_change is not None:
        entries |= {"max_change": decisions.max_change, "log_start": decisions.log_start}
    if decisions.reflex is not None:
        entries["reflex"] = decisions.reflex
    if decisions.power != 1:
        entries["power"] = decisions.power
    return entries


def check_manner(policy: SchedulePolicy, decisions: Decisions) -> None:
    """Refuse a policy that was trained to act in another way than runs are made.

    Args:
        policy: The policy.
        decisions: How runs are made.

    Raises:
        PolicyError: They disagree; the message names the keys to set.
    """
    expected = PLAIN | manner(decisions)
    actual = PLAIN | {key: policy.card[key] for key in expected if key in policy.card}
    wrong = {key: value for key, value in actual.items() if value != expected[key]}
    if wrong:
        settings = " ".join(f"decisions.{key}={'null' if value is None else value}" for key, value in wrong.items())
        raise PolicyError(f"policy {policy.card['name']!r} acts in another way than this recipe; set {settings}")
