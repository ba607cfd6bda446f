"""From a Stable-Baselines3 model to a policy file."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import nn

from lrpilot.agents.asymmetric import SplitExtractor
from lrpilot.envs.process import Decisions
from lrpilot.policy import FORMAT, SchedulePolicy


def export(model: PPO, name: str, action: str, decisions: Decisions, **provenance: Any) -> SchedulePolicy:
    """Take the deterministic policy out of a PPO model.

    Args:
        model: With an MLP policy and tanh activations.
        name: Name on the card.
        action: What the LR is a multiple of, one of `lrpilot.policy.ACTIONS`.
        decisions: How the agent acted in training.
        **provenance: Further entries of the card, plain JSON data.

    Returns:
        The policy: same actions as `model.predict(…, deterministic=True)`, to rounding.
    """
    actor, last = model.policy.mlp_extractor, model.policy.action_net
    assert isinstance(actor, SplitExtractor)
    assert isinstance(last, nn.Linear)
    hidden = [layer for layer in actor.policy_net if isinstance(layer, nn.Linear)]
    layers = []
    for linear in [*hidden, last]:
        weight = linear.weight.detach().cpu().numpy().astype(np.float32).copy()
        layers.append((weight, linear.bias.detach().cpu().numpy().astype(np.float32).copy()))
    card = {
        "format": FORMAT,
        "name": name,
        "action": action,
        "signals": list(actor.signals),
        "decisions": decisions.decisions,
        "anchor": decisions.anchor,
        "log_low": decisions.log_low,
        "log_high": decisions.log_high,
    }
    if decisions.max_change is not None:
        card |= {"max_change": decisions.max_change, "log_start": decisions.log_start}
    return SchedulePolicy({**card, **provenance}, tuple(layers))
