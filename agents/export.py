"""From a Stable-Baselines3 model to a policy file."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import nn

from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.envs.process import Decisions
from lrpilot.policy import FORMAT, SchedulePolicy


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
    card = {
        "format": FORMAT,
        "name": name,
        "action": action,
        "signals": list(policy.signals),
        "decisions": decisions.decisions,
        "anchor": decisions.anchor,
        "log_low": decisions.log_low,
        "log_high": decisions.log_high,
    }
    if decisions.max_change is not None:
        card |= {"max_change": decisions.max_change, "log_start": decisions.log_start}
    return SchedulePolicy({**card, **provenance}, tuple(layers))
