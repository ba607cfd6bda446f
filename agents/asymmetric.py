"""Actor and critic that see different things: the critic alone sees the task's hidden state.

The critic is needed in training only, where the simulator knows how noisy a problem really is. A critic that
knows it predicts returns better, so the policy gradient has less variance; the exported policy is unchanged.
Source: Pinto et al., "Asymmetric actor critic for image-based robot learning" (2018), arXiv:1710.06542.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor, nn

from lrpilot.signals import SIGNAL_NAMES


class SplitExtractor(nn.Module):
    """Two tanh networks: one over the observation, one over the observation and the hidden state.

    Args:
        inputs: Entries of observation and hidden state together.
        widths: Widths of the hidden layers, the same for both.
        signals: Names of the entries of the observation, in order.
    """

    def __init__(self, inputs: int, widths: list[int], signals: Sequence[str]) -> None:
        super().__init__()
        self.signals = tuple(signals)
        self.policy_net = _tanh_network([len(signals), *widths])
        self.value_net = _tanh_network([inputs, *widths])
        self.latent_dim_pi = self.latent_dim_vf = widths[-1]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what actor and critic make of (…, inputs)."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """Return the actor's latent vector; the hidden state does not enter."""
        latent: Tensor = self.policy_net(features[..., : len(self.signals)])
        return latent

    def forward_critic(self, features: Tensor) -> Tensor:
        """Return the critic's latent vector."""
        latent: Tensor = self.value_net(features)
        return latent


class AsymmetricPolicy(ActorCriticPolicy):
    """SB3's actor-critic policy with a `SplitExtractor`; `signals` are the names of the entries of the observation."""

    def __init__(self, *arguments: Any, signals: Sequence[str] = SIGNAL_NAMES, **settings: Any) -> None:
        self.signals = signals  # the parent's constructor builds the extractor
        super().__init__(*arguments, **settings)

    def _build_mlp_extractor(self) -> None:
        assert isinstance(self.net_arch, list)
        self.mlp_extractor = SplitExtractor(self.features_dim, self.net_arch, self.signals)  # type: ignore[assignment]


def _tanh_network(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.Tanh()]
    return nn.Sequential(*layers)
