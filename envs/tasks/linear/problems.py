"""A wide distribution of linearised fine-tuning problems on real data, brought into their eigenbasis."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrpilot.arrays import Floats
from lrpilot.envs.ranges import Range, check_ranges, log_uniform
from lrpilot.envs.tasks.linear.pretrained import OUTPUTS, Expansion
from lrpilot.theory.linear import minibatch_smoothness

RANK_TOLERANCE = 1e-9  # eigenvalues below this share of the largest are rounding errors of the kernel
_ALLOWED: dict[str, Range] = {
    "rows": (4, 512),
    "classes": (2, OUTPUTS),
    "label_noise": (0.0, 1.0),
    "weight_decay": (1e-9, 1.0),
    "scale": (1e-9, 1e9),
}


@dataclass(frozen=True)
class LinearProblems:
    """Ranges that problems are drawn from; pairs are inclusive, and drawn log-uniformly where marked so.

    Attributes:
        networks: Size of the pool of pre-trained networks that are linearised.
        rows: Residuals n = examples × classes of a problem.
        classes: Classes C, one output each.
        label_noise: Share of the examples whose class is random.
        weight_decay: λ over the largest eigenvalue of the Hessian without it (log-uniform).
        no_decay: Probability of λ = 0: then the network can fit every label.
        scale: Units of the outputs, and of the weights (log-uniform, each).
        batch_fractions: Shares of the examples in a mini-batch; one is drawn for each problem.
    """

    networks: int = 24
    rows: tuple[int, int] = (48, 128)
    classes: tuple[int, int] = (2, 4)
    label_noise: Range = (0.0, 0.5)
    weight_decay: Range = (1e-6, 1e-1)
    no_decay: float = 0.25
    scale: Range = (1e-2, 1e2)
    batch_fractions: tuple[float, ...] = (0.05, 0.1, 0.25, 0.5, 1.0)

    def __post_init__(self) -> None:
        check_ranges(self, _ALLOWED, ("no_decay", "batch_fractions"))
        if not 1 <= self.networks <= 1000:
            raise ValueError(f"networks must be in 1..1000, not {self.networks}")


@dataclass
class LinearBatch:
    """G problems in the eigenbasis of their Hessians A + λ, padded with zeros to the largest number of rows.

    The weights are w = w* + Vz + what no gradient ever moves; z (G, k) is all that SGD changes.

    Attributes:
        features: Φ = J V, shape (G, n, k): residuals are r = r* + Φz.
        residual: r*, residuals at the minimum, shape (G, n).
        optimum: Vᵀ(w* − w₀), shape (G, k): weight decay pulls towards −optimum.
        curvature: Eigenvalues of the Hessian, shape (G, k); 0 on padding.
        start: z at the pre-trained weights, shape (G, k).
        example: Which example each row belongs to, shape (G, n), int64; −1 on padding.
        weight_decay: λ, shape (G,).
        batch: Examples in a mini-batch, shape (G,), int64.
        smoothness: L, so that LRs up to 2/L are stable in mean square, shape (G,).
    """

    features: Tensor
    residual: Tensor
    optimum: Tensor
    curvature: Tensor
    start: Tensor
    example: Tensor
    weight_decay: Tensor
    batch: Tensor
    smoothness: Tensor


def draw(problems: LinearProblems, count: int, rng: np.random.Generator, pool: Sequence[Expansion]) -> LinearBatch:
    """Draw problems: a network of the pool, classes, examples, labels, weight decay and size of the mini-batches.

    Args:
        problems: The distribution.
        count: G, how many.
        rng: Source of randomness.
        pool: Networks to choose from.

    Returns:
        The problems, padded.
    """
    rows = problems.rows[1]
    kernel = np.zeros((count, rows, rows))
    residual = np.zeros((count, rows))
    example = np.full((count, rows), -1)
    batch = np.zeros(count, dtype=np.int64)
    for g in range(count):
        part, at_start, member = _fine_tuning(problems, rng, pool[int(rng.integers(len(pool)))])
        n = len(member)
        kernel[g, :n, :n], residual[g, :n], example[g, :n] = part, at_start, member
        batch[g] = max(1, round(rng.choice(problems.batch_fractions) * (member[-1] + 1)))
    weight_decay = log_uniform(problems.weight_decay, count, rng) * (rng.random(count) >= problems.no_decay)
    return _in_eigenbasis(*map(torch.from_numpy, (kernel, residual, example, batch, weight_decay)))


def _fine_tuning(
    problems: LinearProblems, rng: np.random.Generator, network: Expansion
) -> tuple[Floats, Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """One problem: kernel (n, n), residuals at the start (n,), and the example of each row (n,)."""
    kinds = np.unique(network.labels)
    classes = int(rng.integers(problems.classes[0], min(problems.classes[1], len(kinds)), endpoint=True))
    chosen = rng.permutation(kinds)[:classes]
    candidates = rng.permutation(np.flatnonzero(np.isin(network.labels, chosen)))
    samples = candidates[: int(rng.integers(*problems.rows, endpoint=True)) // classes]
    position = np.searchsorted(np.sort(chosen), network.labels[samples])
    wrong = rng.random(len(samples)) < rng.uniform(*problems.label_noise)
    position = np.where(wrong, rng.integers(classes, size=len(samples)), position)
    of_weights, of_outputs = np.sqrt(log_uniform(problems.scale, 2, rng))
    kernel = network.kernel[samples][:, :classes][:, :, samples][..., :classes].astype(np.float64)
    residual = network.outputs[samples][:, :classes] - np.eye(classes)[position]
    n = len(samples) * classes
    return kernel.reshape(n, n) * of_weights**2, residual.ravel() * of_outputs, np.arange(n) // classes


def _in_eigenbasis(
    kernel: Tensor, residual: Tensor, example: Tensor, batch: Tensor, weight_decay: Tensor
) -> LinearBatch:
    """K/N = U Λ Uᵀ gives Φ = √N U √Λ; the minimum solves Φᵀr*/N + λ·optimum = 0."""
    examples = (example.amax(-1) + 1)[:, None]  # (G, 1)
    values, U = torch.linalg.eigh(kernel / examples[..., None])
    values = values * (values > RANK_TOLERANCE * values[:, -1:])  # (G, k)
    decay = weight_decay[:, None] * values[:, -1:]  # (G, 1)
    features = (examples * values).sqrt()[:, None, :] * U  # (G, n, k)
    curvature = (values + decay) * (values > 0)
    pull = (features * residual[..., None]).sum(1) / examples
    optimum = -pull / torch.where(curvature > 0, curvature, 1.0)
    smoothness = minibatch_smoothness(kernel, example, batch, decay[:, 0])
    at_optimum = residual + (features @ optimum[..., None])[..., 0]
    return LinearBatch(features, at_optimum, optimum, curvature, -optimum, example, decay[:, 0], batch, smoothness)
