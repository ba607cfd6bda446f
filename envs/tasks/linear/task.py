"""Fine-tuning of linearised networks with a squared loss, B problems in one batch of tensors."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrpilot.arrays import Floats, Weights
from lrpilot.envs.tasks.base import AbstractBatchTask
from lrpilot.envs.tasks.linear.pretrained import expansions
from lrpilot.envs.tasks.linear.problems import LinearBatch, LinearProblems, draw

DATA = ("digits", "faces", "wine")


class LinearTask(AbstractBatchTask):
    """Mini-batch SGD on (1/2N)‖f(w) − y‖² + (λ/2)‖w − w₀‖², f a network linearised at pre-trained weights w₀.

    In the eigenbasis of the constant Hessian (see `LinearBatch`) a step on the examples S is

        r_S = r*_S + Φ_S z,    g = Φ_Sᵀ r_S / |S| + λ(z + optimum),    z ← z − ηg,

    the same steps, losses and gradient norms as in the space of the weights. The objective is f − f*, what is left
    above the minimum: the LR can change nothing else.

    Args:
        problems: The distribution that problems are drawn from.
        batch_size: B, how many run side by side.
        data: Names of labelled data sets that the networks are pre-trained on; digits, faces and wine if empty.
        replicas: How many successive runs share problem and mini-batches; divides `batch_size`.
    """

    hidden_size = 6

    def __init__(self, problems: LinearProblems, batch_size: int, data: Sequence[str] = (), replicas: int = 1) -> None:
        super().__init__(problems, batch_size, replicas)
        self._pool = expansions(tuple(data) or DATA, problems.networks)

    def _draw(self, count: int, rng: np.random.Generator) -> LinearBatch:
        return draw(self.problems, count, rng, self._pool)

    def _start(self, batch: LinearBatch) -> None:
        """Shapes: G problems, n rows, k directions, R replicas; B = G·R."""
        self.features = batch.features.float()  # (G, n, k)
        self.residual = batch.residual.float()[..., None]  # (G, n, 1)
        self.optimum = batch.optimum.float()[..., None]  # (G, k, 1)
        self.curvature = batch.curvature.float()[..., None]  # (G, k, 1)
        self.weight_decay = batch.weight_decay.float()[:, None, None]
        self.bound = 2 / batch.smoothness  # (G,), float64
        self._z_start = batch.start.float()  # (G, k)
        self.example, self.batch = batch.example, batch.batch
        self.examples = batch.example.amax(-1) + 1
        self.z = self._z_start[..., None].repeat(1, 1, self.replicas)  # (G, k, R)
        self.gradient = torch.zeros_like(self.z)
        self.rows = torch.zeros(*batch.example.shape, 1)  # 1 on those of the drawn mini-batch

    def reset(self, rng: np.random.Generator, slots: NDArray[np.bool_] | None = None) -> None:
        """Draw new problems; see `AbstractTask.reset`. A single run in a replica group begins its problem anew."""
        again = self._marked(slots)
        if self.replicas == 1 or again.all():
            super().reset(rng, slots)
        else:
            self.z = torch.where(
                torch.from_numpy(again).reshape(-1, 1, self.replicas), self._z_start[..., None], self.z
            )

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one SGD step; see `AbstractTask.sgd_step`."""
        loss = self.draw_gradient()
        eta = torch.from_numpy(np.asarray(lr)).float().reshape(-1, 1, self.replicas)
        self.z = self.z - eta * self.gradient
        return loss.double().flatten().numpy()

    def draw_gradient(self) -> Tensor:
        """Draw the next mini-batch, take its gradient, and return its loss, shape (G, R)."""
        self.rows = self._draw_rows()
        loss, self.gradient = self.measure(self.z)
        return loss

    def measure(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and gradient of the drawn mini-batch.

        Args:
            z: Where, shape (G, k, R).

        Returns:
            Shapes (G, R) and (G, k, R).
        """
        residual = (self.residual + self.features @ z) * self.rows  # (G, n, R)
        weights = z + self.optimum
        size = self.batch[:, None, None]
        gradient = self.features.mT @ residual / size + self.weight_decay * weights
        loss = residual.square().sum(1) / size[..., 0] / 2 + self.weight_decay[..., 0] * weights.square().sum(1) / 2
        return loss, gradient

    def _draw_rows(self) -> Tensor:
        """1 on the rows of this step's examples, 0 elsewhere, shape (G, n, 1)."""
        groups, rows = self.example.shape
        keys = torch.rand(groups, rows, generator=self._noise_rng)  # one for each example; there are fewer than rows
        keys += 2 * (torch.arange(rows) >= self.examples[:, None])
        last = keys.sort(-1).values.gather(-1, self.batch[:, None] - 1)
        mine = keys.gather(-1, self.example.clamp_min(0))
        return ((mine <= last) & (self.example >= 0)).float()[..., None]

    def gradient_sq(self) -> Floats:
        """Return ‖g‖² of the last step, shape (B,)."""
        return self.gradient.square().sum(1).double().flatten().numpy()

    def weights(self) -> Weights:
        """Return z, shape (B, k): the weights up to a rotation and a shift."""
        return self.z.mT.flatten(0, 1).numpy()

    def gradients(self) -> Weights:
        """Return the last step's gradient with respect to z, shape (B, k)."""
        return self.gradient.mT.flatten(0, 1).numpy()

    def reference(self) -> Floats:
        """Return 2/L, the largest LR that is stable in mean square, shape (B,), per step; constant over a run."""
        return self.bound.repeat_interleave(self.replicas).numpy()

    def objective(self) -> Floats:
        """Return f − f* = ½ zᵀ(A + λ)z, shape (B,)."""
        return (self.curvature * self.z.square()).sum(1).double().flatten().numpy() / 2

    def hidden(self) -> Floats:
        """Return logs of batch and data size, f*, λ, bound against Hessian, and f − f* against its start; (B, 6)."""
        excess = torch.from_numpy(self.objective()).reshape(-1, self.replicas)  # (G, R)
        examples, decay = self.examples.double(), self.weight_decay[:, 0, 0].double()
        floor = self.residual.square().sum((1, 2)).double() / examples / 2
        floor = floor + decay * self.optimum.square().sum((1, 2)).double() / 2
        top = self.curvature.amax((1, 2)).double()
        start = (self.curvature[..., 0] * self._z_start.square()).sum(1).double() / 2
        fixed = (self.batch / examples, examples, floor / start, decay / top, top * self.bound / 2)
        columns = [entry[:, None].expand_as(excess) for entry in fixed] + [excess / start[:, None]]
        return torch.stack(columns, -1).clamp_min(1e-12).log().flatten(0, 1).numpy() / 3
