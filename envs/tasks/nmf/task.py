"""Stochastic non-negative matrix factorisation, B problems in one batch of tensors."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from lrpilot.arrays import Floats, Weights
from lrpilot.envs.data.matrices import load_matrix
from lrpilot.envs.tasks.base import AbstractBatchTask
from lrpilot.envs.tasks.nmf.problems import NMFBatch, NMFProblems, draw
from lrpilot.theory.nmf import certified_bound


class NMFTask(AbstractBatchTask):
    """Projected SGD on f(W, H) = ½‖WH − X‖²_F over W, H ≥ 0, of which only a noisy gradient is known.

    A step takes a random batch S of columns, the unbiased loss κ·½‖(WH − X)_S‖² with κ = n/|S|, adds noise of
    constant variance to its gradient, and projects:

        W ← max(0, W − η(κ R_S H_Sᵀ + ε)),   H_S ← max(0, H_S − η(κ Wᵀ R_S + ε)).

    Args:
        problems: The distribution that problems are drawn from.
        batch_size: B, how many run side by side.
        data: Names or `.npy` paths of real matrices that may be cropped.
        replicas: How many successive runs share problem, initialisation and noise; divides `batch_size`.
    """

    hidden_size = 5

    def __init__(self, problems: NMFProblems, batch_size: int, data: Sequence[str] = (), replicas: int = 1) -> None:
        super().__init__(problems, batch_size, replicas)
        self._real = [load_matrix(name) for name in data]

    def _draw(self, count: int, rng: np.random.Generator) -> NMFBatch:
        return draw(self.problems, count, rng, self._real)

    def _start(self, batch: NMFBatch) -> None:
        entries = {name: torch.from_numpy(np.repeat(value, self.replicas, 0)) for name, value in vars(batch).items()}
        as_float = {name: value.float() for name, value in entries.items()}
        self.X, self.W, self.H = as_float["X"], as_float["W"], as_float["H"]
        self.W_mask, self.H_mask = as_float["W_mask"], as_float["H_mask"]
        self.in_cols = self.H_mask.amax(1)  # (B, n)
        self.batch_cols = entries["batch_cols"]
        self.kappa = as_float["cols"] / self.batch_cols
        self._direction = torch.ones(self.X.shape[:2])
        self.R = self.W @ self.H - self.X  # (B, m, n)
        gradient_sq = (self.R @ self.H.mT).square().sum((1, 2)) + (self.W.mT @ self.R).square().sum((1, 2))
        count = self.W_mask.sum((1, 2)) + self.H_mask.sum((1, 2))
        self.noise = as_float["noise"] * (gradient_sq / count).sqrt()  # (B,), standard deviation an entry
        self.draw_gradient()
        self.used = torch.zeros_like(self.W), torch.zeros_like(self.H)  # the gradient of the last step, over κ

    def draw_gradient(self) -> None:
        """Draw the next mini-batch, and do as `take_gradient` says."""
        self.in_batch = self._draw_columns()[:, None, :]
        self.take_gradient()

    def take_gradient(self) -> None:
        """Take R_S and H_S (zero elsewhere) of the mini-batch S, ‖R_S‖² (B,), and the gradient of its loss / κ."""
        self.R_batch, self.H_batch = self.R * self.in_batch, self.H * self.in_batch
        self.R_sq = (self.R_batch * self.R_batch).sum((1, 2))  # (B,)
        self.W_gradient = (self.H_batch @ self.R_batch.mT).mT  # (B, m, r); R @ H.mT is four times slower in batches
        self.H_gradient = self.W.mT @ self.R_batch  # (B, r, n)

    def sgd_step(self, lr: Floats) -> Floats:
        """Make one projected SGD step; see `AbstractTask.sgd_step`."""
        loss = (self.kappa * self.R_sq / 2).double().numpy()
        eta = (torch.from_numpy(np.asarray(lr)).float() * self.kappa)[:, None, None]
        spread = (self.noise / self.kappa)[:, None, None]
        W_noise, H_noise = self.draw_noise()
        self.used = self.W_gradient.addcmul_(spread, W_noise), self.H_gradient.addcmul_(spread, H_noise)
        self.W = (self.W - eta * self.used[0]).clamp_min_(0)
        self.H = (self.H - eta * self.used[1]).clamp_min_(0)
        self.R = torch.baddbmm(self.X, self.W, self.H, beta=-1)
        self.draw_gradient()
        return loss

    def draw_noise(self) -> tuple[Tensor, Tensor]:
        """Draw what is added to the gradients of W and H, of variance 1 an entry."""
        W_noise = self._random(torch.randn, self.W).mul_(self.W_mask)
        H_noise = self._random(torch.randn, self.H).mul_(self.H_mask)
        return W_noise, H_noise

    def gradient_sq(self) -> Floats:
        """Return ‖G‖² of the last step's G = (κ R_S H_Sᵀ + ε, κ Wᵀ R_S + ε), shape (B,)."""
        W_part, H_part = (part.square().sum((1, 2)) for part in self.used)
        return (self.kappa.square() * (W_part + H_part)).double().numpy()

    def weights(self) -> Weights:
        """Return W and H, shape (B, mr + rn)."""
        return torch.cat([self.W.flatten(1), self.H.flatten(1)], 1).numpy()

    def gradients(self) -> Weights:
        """Return the last step's gradient with respect to W and H, shape (B, mr + rn)."""
        return torch.cat([self.kappa[:, None] * part.flatten(1) for part in self.used], 1).numpy()

    def _draw_columns(self) -> Tensor:
        """1 on the columns of this step's batch, 0 elsewhere, shape (B, n)."""
        keys = self._random(torch.rand, self.in_cols) + 2 * (1 - self.in_cols)
        last = keys.sort(-1).values.gather(-1, (self.batch_cols - 1)[:, None])
        return (keys <= last).float()

    def _random(self, kind: Callable[..., Tensor], like: Tensor) -> Tensor:
        """Random numbers of a tensor's shape, the same for all replicas of a problem."""
        distinct = kind((like.shape[0] // self.replicas, *like.shape[1:]), generator=self._noise_rng)
        return distinct.repeat_interleave(self.replicas, 0) if self.replicas > 1 else distinct

    def reference(self) -> Floats:
        """Return the certified bound on the next step, shape (B,), per step."""
        gradient_sq = self.W_gradient.square().sum((1, 2)) + self.H_gradient.square().sum((1, 2))
        eta, self._direction = certified_bound(
            self.W, self.H_batch, self.R_batch, self.R_sq, gradient_sq.sqrt(), self._direction
        )
        return (eta / self.kappa).double().numpy()

    def objective(self) -> Floats:
        """Return the full loss f, shape (B,)."""
        return (self.R.flatten(1).square().sum(1) / 2).double().numpy()

    def hidden(self) -> Floats:
        """Return logs of κ, of the loss over the data's norm, and of what noise and gradient do to it; (B, 5)."""
        objective, bound = self.objective(), self.reference()
        entries = (self.W_mask.sum((1, 2)) + self.H_mask.sum((1, 2))).double().numpy()
        gradient_sq = (self.R @ self.H.mT).square().sum((1, 2)) + (self.W.mT @ self.R).square().sum((1, 2))
        data = self.X.square().sum((1, 2)).double().numpy()
        scaled = bound / np.maximum(objective, 1e-300)
        noise = self.noise.square().double().numpy() * entries * scaled
        logs = (self.kappa.double().numpy(), objective / data, noise, gradient_sq.double().numpy() * scaled, entries)
        return np.log(np.maximum(np.stack(logs, -1), 1e-6)) / 3
