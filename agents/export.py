"""From a Stable-Baselines3 model to a policy file."""

from __future__ import annotations

from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import nn

from lrpilot.agents.asymmetric import SplitExtractor
from lrpilot.envs.process import Decisions
from lrpilot.policy import FORMAT, SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES


def export(model: PPO, name: str, decisions: Decisions, **provenance: Any) -> SchedulePolicy:
    """Take the deterministic policy out of a PPO model.

    Args:
        model: With an MLP policy and tanh activations.
        name: Name on the card.
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
        "action": "fraction_of_bound",
        "signals": list(SIGNAL_NAMES),
        "decisions": decisions.decisions,
        "anchor": decisions.anchor,
        "log_low": decisions.log_low,
        "log_high": decisions.log_high,
    }
    return SchedulePolicy({**card, **provenance}, tuple(layers))
