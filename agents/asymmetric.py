"""Actor and critic that see different things: the critic alone sees the task's hidden state.

The critic is needed in training only, where the simulator knows how noisy a problem really is. A critic that
knows it predicts returns better, so the policy gradient has less variance; the exported policy is unchanged.
Source: Pinto et al., "Asymmetric actor critic for image-based robot learning" (2018), arXiv:1710.06542.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import create_mlp
from torch import Tensor, nn

from lrpilot.signals import SIGNAL_NAMES

SHARP = 1.5  # slope of the unit that tells when the first share of the horizon is over


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
        self.policy_net = nn.Sequential(*create_mlp(len(signals), -1, widths, nn.Tanh))
        self.value_net = nn.Sequential(*create_mlp(inputs, -1, widths, nn.Tanh))
        self.latent_dim_pi = self.latent_dim_vf = widths[-1]

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return what actor and critic make of (…, inputs)."""
        return self.forward_actor(features), self.forward_critic(features)

    def forward_actor(self, features: Tensor) -> Tensor:
        """Return the actor's latent vector; the hidden state does not enter."""
        return self.policy_net(features[..., : len(self.signals)])

    def forward_critic(self, features: Tensor) -> Tensor:
        """Return the critic's latent vector."""
        return self.value_net(features)


class AsymmetricPolicy(ActorCriticPolicy):
    """SB3's actor-critic policy with a `SplitExtractor`, and a running average of its actor: what is exported.

    PPO's steps are mostly noise once a policy is good; their average over some iterations is better than the last.
    The average is a part of the state, so checkpoints hold it.

    Args:
        *arguments: Of SB3's policy.
        signals: Names of the entries of the observation.
        averaging: Weight of the old average at each iteration; 0 for no averaging.
        **settings: Of SB3's policy.
    """

    averaged_until: Tensor

    def __init__(
        self, *arguments: Any, signals: Sequence[str] = SIGNAL_NAMES, averaging: float = 0.0, **settings: Any
    ) -> None:
        self.signals = signals  # the parent's constructor builds the extractor
        super().__init__(*arguments, **settings)
        self.averaging = averaging
        self.averaged_actor = deepcopy(self._actor()).requires_grad_(False)  # after the optimizer was made
        self.register_buffer("averaged_until", torch.tensor(-1))

    def _actor(self) -> nn.Sequential:
        return nn.Sequential(*self.mlp_extractor.policy_net, self.action_net)

    def mean_action(self, observation: Tensor) -> Tensor:
        """Return the actor's mean actions, shape (n,), before they are clipped; differentiable."""
        mean: Tensor = self._actor()(observation[:, : len(self.signals)])
        return mean[:, 0]

    def actor_parameters(self) -> list[nn.Parameter]:
        """Return what determines mean actions."""
        return [*self._actor().parameters()]

    @torch.no_grad()
    def begin_with(self, action: float, until: float | None = None) -> None:
        """Set what the untrained actor does on average.

        Args:
            action: Its mean action.
            until: If given, the share of the horizon at which that has fallen to half; soon after it is 0. One unit
                of each hidden layer is set for it, which training may change like all others.
        """
        *hidden, last = (layer for layer in self._actor() if isinstance(layer, nn.Linear))
        nn.init.constant_(last.bias, action)
        if until is None:
            return
        for layer in hidden:  # the first unit of each: from −1 at the start to 1 once the share is over
            layer.weight[0], layer.weight[0, 0], layer.bias[0] = 0.0, SHARP, 0.0
        first, progress = hidden[0], self.signals.index("progress")
        first.weight[0, 0], first.weight[0, progress], first.bias[0] = 0.0, SHARP / until, -SHARP
        last.weight[0, 0], last.bias[0] = -action / 2, action / 2

    @torch.no_grad()
    def begin_as(self, layers: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]) -> None:
        """Set the untrained actor to that of an exported policy.

        Args:
            layers: Weights (outputs, inputs) and biases (outputs,) of its layers, of the same widths.
        """
        mine = (layer for layer in self._actor() if isinstance(layer, nn.Linear))
        for layer, (weight, bias) in zip(mine, layers, strict=True):
            layer.weight.copy_(torch.from_numpy(weight))
            layer.bias.copy_(torch.from_numpy(bias))

    @torch.no_grad()
    def average(self, iteration: int) -> None:
        """Take the actor as it is now into the average; a second call for the same iteration changes nothing.

        Args:
            iteration: Its number; the first ones count alike.
        """
        if iteration <= int(self.averaged_until):
            return
        self.averaged_until.fill_(iteration)
        share = max(1 - self.averaging, 1 / (iteration + 1))
        for mean, now in zip(self.averaged_actor.parameters(), self._actor().parameters(), strict=True):
            mean.lerp_(now, share)

    def _build_mlp_extractor(self) -> None:
        assert isinstance(self.net_arch, list)
        self.mlp_extractor = SplitExtractor(self.features_dim, self.net_arch, self.signals)  # type: ignore[assignment]
