"""A tiny access for tests of rules: quadratics whose derivatives and minima are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lrpilot.envs.tasks.optimizers import OPTIMIZERS, Hyper
from lrpilot.experiments.league.parameter_access import AbstractParameterAccess


class Quadratics(AbstractParameterAccess):
    """Run i minimises ½(w − c)ᵀA_i(w − c); every mini-batch has a c of its own, drawn around 0.

    Args:
        A: Shape (B, P, P).
        start: Shape (B, P).
        optimizer: A key of `OPTIMIZERS`.
        momentum: SGD's or RMSprop's momentum, AdamW's β₁.
        weight_decay: λ.
        noise: Standard deviation of the entries of c.
        blocks: Sizes of the tensors; one of size P if there are none.

    Attributes:
        A: Shape (B, P, P).
        centre: c of the drawn mini-batch, shape (B, P).
        calls: How often loss and gradient were asked for, the drawn ones among them.
    """

    def __init__(
        self,
        A: Tensor,
        start: Tensor,
        optimizer: str = "sgd",
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        noise: float = 0.0,
        blocks: Sequence[int] = (),
    ) -> None:
        self.A, self.parameters, self.noise = A, start.clone(), noise
        each = torch.ones(len(start), dtype=start.dtype)
        self.optimizer = OPTIMIZERS[optimizer](Hyper(momentum * each, 0.999 * each, weight_decay * each), start)
        self.blocks = list(blocks) or [start.shape[1]]
        self.rng, self.centre = torch.Generator().manual_seed(0), torch.zeros_like(start)
        self.calls = {"loss": 0, "gradient": 0}

    def draw(self) -> tuple[Tensor, Tensor]:
        self.centre = self.noise * torch.randn(self.centre.shape, generator=self.rng, dtype=self.centre.dtype)
        return self._loss(self.parameters), self.gradient_at(self.parameters)

    def loss_at(self, parameters: Tensor) -> Tensor:
        self.calls["loss"] += 1
        return self._loss(parameters)

    def gradient_at(self, parameters: Tensor) -> Tensor:
        self.calls["gradient"] += 1
        return (self.A @ (parameters - self.centre)[..., None])[..., 0]

    def place(self, parameters: Tensor) -> None:
        self.parameters = parameters.clone()

    def _loss(self, parameters: Tensor) -> Tensor:
        away = (parameters - self.centre)[..., None]
        return (away.mT @ self.A @ away)[:, 0, 0] / 2


def random_quadratics(runs: int, size: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """A (B, P, P), positive definite, and starts (B, P)."""
    rng = torch.Generator().manual_seed(seed)
    factor = torch.randn(runs, size, size, generator=rng, dtype=torch.float64)
    start = torch.randn(runs, size, generator=rng, dtype=torch.float64)
    return factor @ factor.mT / size + 0.1 * torch.eye(size, dtype=torch.float64), start
