"""From a Stable-Baselines3 model to a policy file."""

from dataclasses import fields
from typing import Any

import numpy as np
from stable_baselines3 import PPO
from torch import Tensor, nn

from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.card import FORMAT, PolicyError, control_entries
from lrpilot.control import Control
from lrpilot.policy import Float32, SchedulePolicy


def export(model: PPO, name: str, control: Control, **provenance: Any) -> SchedulePolicy:
    """Take the deterministic policy out of a PPO model: the running average of its actor.

    Args:
        model: With an `AsymmetricPolicy`.
        name: Name on the card.
        control: How the agent acted in training.
        **provenance: Further entries of the card, plain JSON data.

    Returns:
        The policy: without averaging, the same actions as `model.predict(…, deterministic=True)`, to rounding.
    """
    policy = model.policy
    assert isinstance(policy, AsymmetricPolicy)
    layers = tuple(
        (_numbers(part.weight), _numbers(part.bias)) for part in policy.averaged_actor if isinstance(part, nn.Linear)
    )
    card = {"format": FORMAT, "name": name, "signals": list(policy.signals), **control_entries(control)}
    return SchedulePolicy({**card, **provenance}, layers)


def _numbers(parameter: Tensor) -> Float32:
    return parameter.cpu().numpy().astype(np.float32).copy()


def check_control(policy: SchedulePolicy, control: Control) -> None:
    """Refuse a policy that was trained to act in another way than runs are made.

    Args:
        policy: The policy.
        control: How runs are made.

    Raises:
        PolicyError: They disagree; the message names the keys to set.
    """
    own = {field.name: getattr(policy.control, field.name) for field in fields(Control)}
    wrong = {key: value for key, value in own.items() if value != getattr(control, key)}
    if wrong:
        settings = " ".join(f"decisions.{key}={'null' if value is None else value}" for key, value in wrong.items())
        raise PolicyError(f"policy {policy.card['name']!r} acts in another way than this recipe; set {settings}")
