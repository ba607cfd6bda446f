"""PPO whose actor is also moved, in training, towards the LRs that would have cost least: guidance.

Where the right LR of a problem can be found by trying, an agent need not find out by chance which of its actions were
too bold. After each update of PPO, the actor's mean actions are moved so that the LR which they lead to is expected to
cost least: the costs of the LRs that were tried, between them linearly, averaged over all problems that look alike.
The actor never sees the costs; what it learns is to infer from losses and gradients where the right LR is. PPO has the
last word, since its reward is what runs really end with: the weight of the guidance falls to a tenth.

Training by what only the simulator knows: Vapnik and Vashist, "Learning using privileged information" (2009); with the
student's own states: Ross et al. (2011), arXiv:1011.0686.
"""

import numpy as np
import torch
from stable_baselines3 import PPO
from torch import Tensor

from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.envs.process import GUIDE_SIZE, GUIDE_UNIT
from lrpilot.envs.tasks.base import TRIED

LARGEST_COST = 1.5  # nats; one LR that ruins a run is as bad as another
SLOPE = 0.05  # nats of cost a nat of distance from the best LR, so that even flat costs have a direction
OUTSIDE = 0.02  # the same of actions above 1, which count as 1
BEYOND = 0.3  # the same outside the LRs that were tried


class GuidedPPO(PPO):
    """SB3's PPO with guidance; without, the same as that."""

    weight: float = 0.0
    max_change: float = 1.0

    def guide_by(self, weight: float, max_change: float | None) -> None:
        """Set the weight of the guidance at the start, and the largest change of the log multiple by an action."""
        self.weight, self.max_change = weight, max_change or 1.0

    def train(self) -> None:
        """Update actor and critic by the rollout, then the actor by guidance."""
        super().train()
        if self.weight > 0:
            self._guide()

    def _guide(self) -> None:
        policy = self.policy
        assert isinstance(policy, AsymmetricPolicy)
        weight = self.weight * (0.1 + 0.9 * self._current_progress_remaining)
        actor = policy.actor_parameters()
        costs = []
        for _ in range(self.n_epochs):
            for batch in self.rollout_buffer.get(self.batch_size):
                cost = self._cost(policy, batch.observations)
                policy.optimizer.zero_grad()
                (weight * cost).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(actor, self.max_grad_norm)
                policy.optimizer.step()
                costs.append(float(cost.detach()))
        self.logger.record("train/guidance_cost", float(np.mean(costs)))

    def _cost(self, policy: AsymmetricPolicy, observation: Tensor) -> Tensor:
        """Expected cost of the LRs that the actor's mean actions lead to, averaged over a minibatch (n, …)."""
        seen = len(policy.signals)
        place, costs = observation[:, seen] * GUIDE_UNIT, observation[:, seen + 1 : seen + GUIDE_SIZE]
        action = policy.mean_action(observation)
        left = 1 - observation[:, policy.signals.index("progress")]  # near the end the reward alone knows
        after = place + self.max_change * action
        too_large = OUTSIDE * (action.abs() - 1).relu()
        return (left * (interpolated(costs, after) + too_large)).mean()


def interpolated(costs: Tensor, place: Tensor) -> Tensor:
    """Return the costs at some LRs.

    Args:
        costs: Of the LRs `TRIED`, shape (B, n); capped at `LARGEST_COST`.
        place: Log of the LRs, as in `TRIED`, shape (B,).

    Returns:
        Shape (B,), piecewise linear in `place`.

    Example:
        >>> costs = torch.tensor([[1.0, 0.5, 0.0, 0.5, 1.0, 2.0, 2.0, 2.0]])
        >>> interpolated(costs, torch.tensor([float(TRIED[1] + TRIED[2]) / 2]))
        tensor([0.2812])
    """
    count, spacing = len(TRIED), float(TRIED[1] - TRIED[0])
    nodes = torch.arange(count) * spacing
    best = nodes[costs.argmin(1, keepdim=True)]
    convex = costs.clamp(max=LARGEST_COST) + SLOPE * (nodes - best).abs()
    x = (place - float(TRIED[0])) / spacing
    inside = x.clamp(0.0, count - 1.0)
    below = inside.detach().floor().clamp(max=count - 2).long()
    ends = [convex.gather(1, (below + more)[:, None])[:, 0] for more in (0, 1)]
    share = inside - below
    return ends[0] * (1 - share) + ends[1] * share + BEYOND * spacing * (x - inside).abs()
