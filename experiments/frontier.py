"""Where stability ends: python -m lrpilot.experiments.frontier.

From a start very near a minimum, gradient steps with LR = c · bound, for c on both sides of 1. A run *leaves* the
minimum once its distance from it exceeds `RADIUS` times the distance at the start, at any step; so does a run that
overflows. Linear theory says: never for c < 1, always for c > 1 if the start has a part along the top eigenvector.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.tasks.linear.pretrained import expansions
from lrpilot.envs.tasks.linear.problems import LinearProblems, draw
from lrpilot.envs.tasks.linear.task import DATA
from lrpilot.theory.nmf import joint_smoothness

MULTIPLES = (0.5, 0.9, 0.98, 0.99, 1.01, 1.02, 1.1, 1.5)
INSTANCES = 200
STEPS = 1_000
RADIUS = 100.0
START = 1e-3  # distance at the start, over the smallest entry of the minimum: inside RADIUS no entry reaches 0
SHAPES = ((4, 6, 1), (5, 7, 2), (8, 8, 2), (6, 12, 3), (10, 15, 3), (12, 20, 4), (20, 30, 5), (9, 30, 2))  # m, n, r


@dataclass(frozen=True)
class Family:
    """P minima of one shape with a start near each: all that the frontier needs to know about a problem.

    Attributes:
        minimum: The points that runs may leave, flat, shape (P, d).
        start: Where runs begin, shape (P, d).
        bound: Largest stable LR that theory gives for each minimum, per step, shape (P,).
        step: Maps points (..., P, d) and LRs (..., P) to the points one gradient step later.
    """

    minimum: Tensor
    start: Tensor
    bound: Tensor
    step: Callable[[Tensor, Tensor], Tensor]

    def distance(self, x: Tensor) -> Tensor:
        """Return the Euclidean distance from the minima, shape (..., P).

        Args:
            x: Points, shape (..., P, d).
        """
        return (x - self.minimum).square().sum(-1).sqrt()


def leaves(family: Family, multiples: Sequence[float], steps: int = STEPS) -> tuple[Tensor, Tensor]:
    """Run every instance at every multiple of its bound.

    Args:
        family: P instances.
        multiples: The C values of c in LR = c · bound.
        steps: Gradient steps a run.

    Returns:
        Whether each run left its minimum, shape (C, P), boolean; and where it ended, shape (C, P, d).
    """
    lr = torch.tensor(multiples, dtype=family.bound.dtype)[:, None] * family.bound  # (C, P)
    x = family.start.expand(len(multiples), *family.start.shape)
    limit = RADIUS * family.distance(family.start)
    left = torch.zeros(lr.shape, dtype=torch.bool)
    for _ in range(steps):
        x = family.step(x, lr)
        left |= ~(family.distance(x) <= limit)  # not a number: left as well
    return left, x


def frontier(families: Sequence[Family], multiples: Sequence[float] = MULTIPLES) -> list[float]:
    """Return the share of instances that leave, one for each multiple of the bound.

    Args:
        families: Their instances count alike, whatever family they are in.
        multiples: The values of c in LR = c · bound.
    """
    left = torch.cat([leaves(family, multiples)[0] for family in families], 1)
    return [float(share) for share in left.double().mean(1)]


def exact_factorisations(
    count: int, along_top: bool, imbalance: float = 1.0, seed: int = 0, start: float = START
) -> list[Family]:
    """Return positive factorisations X = WH of random shapes; the step is that of projected gradient descent.

    WᵀW = HHᵀ (balanced) before W is multiplied and H divided by `imbalance`. The bound is 2 / (σ₁(W)² + σ₁(H)²).
    X = WH makes the minima a manifold, {(WQ, Q⁻¹H)}, with flat directions along it: the part of a start along
    them stays, and a run that settles at a flatter point of the manifold has left (catapult). Balanced points are
    the flattest there are, as σ₁(W)² + σ₁(H)² ≥ 2σ₁(X): no positive minimum is stable for a run that leaves them.
    Inside the radius all entries stay positive (see `START`), so projection is not active there.

    Args:
        count: Number of instances in all; rounded up to a multiple of the number of shapes.
        along_top: Start along the top eigenvector of the Hessian; otherwise in a random direction.
        imbalance: Factor on W and divisor of H.
        seed: Of all random numbers.
        start: Distance of the start over the smallest entry of the minimum.
    """
    rng = torch.Generator().manual_seed(seed)
    each = -(-count // len(SHAPES))
    return [_family(rng, each, shape, along_top, imbalance, start) for shape in SHAPES]


def linearised_networks(count: int, seed: int = 0) -> Family:
    """Return linearised networks under full-batch gradient descent; the bound is 2/λ_max of the constant Hessian.

    Points are z of `LinearBatch`, whose minimum is 0; the start is the pre-trained network.

    Args:
        count: Number of instances.
        seed: Of all random numbers.
    """
    problems = LinearProblems(networks=6, rows=(24, 48), batch_fractions=(1.0,))
    batch = draw(problems, count, np.random.default_rng(seed), expansions(DATA, problems.networks))
    examples = (batch.example.amax(-1) + 1)[:, None]

    def step(z: Tensor, lr: Tensor) -> Tensor:
        residual = batch.residual + torch.einsum("pnk,...pk->...pn", batch.features, z)
        pull = torch.einsum("pnk,...pn->...pk", batch.features, residual) / examples
        return z - lr[..., None] * (pull + batch.weight_decay[:, None] * (z + batch.optimum))

    return Family(torch.zeros_like(batch.start), batch.start, 2 / batch.smoothness, step)


def _family(
    rng: torch.Generator, count: int, shape: tuple[int, int, int], along_top: bool, imbalance: float, start: float
) -> Family:
    m, n, r = shape
    W, H = _balanced(rng, count, shape)
    W, H = W * imbalance, H / imbalance
    X = W @ H
    minimum = _flat(W, H)
    direction = _top_eigenvector(W, H) if along_top else torch.randn(minimum.shape, generator=rng, dtype=W.dtype)
    reach = start * minimum.amin(-1, keepdim=True)

    def step(x: Tensor, lr: Tensor) -> Tensor:
        W, H = x[..., : m * r].reshape(*lr.shape, m, r), x[..., m * r :].reshape(*lr.shape, r, n)
        R = W @ H - X
        return (x - lr[..., None] * _flat(R @ H.mT, W.mT @ R)).clamp_min(0)

    begin = minimum + reach * direction / direction.norm(dim=-1, keepdim=True)
    return Family(minimum, begin, 2 / joint_smoothness(W, H, X), step)


def _balanced(rng: torch.Generator, count: int, shape: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Positive W (count, m, r), H (count, r, n) with WᵀW = HHᵀ: columns of H are rows of W, times weights.

    If the squares of the weights that one row of W gets add up to 1 then HHᵀ = Σᵢ wᵢwᵢᵀ = WᵀW.
    """
    m, n, r = shape
    W = 0.2 + torch.rand(count, m, r, generator=rng, dtype=torch.float64)
    row = torch.arange(n) % m
    weight = 0.3 + torch.rand(count, n, generator=rng, dtype=torch.float64)
    total = torch.zeros(count, m, dtype=W.dtype).index_add_(1, row, weight.square())
    return W, (W[:, row] * (weight / total[:, row].sqrt())[..., None]).mT


def _top_eigenvector(W: Tensor, H: Tensor) -> Tensor:
    """Top eigenvector of the Hessian where WH = X, shape (P, d): D²f[(A, B)] = ‖AH + WB‖² there.

    With W = … + σ_W u aᵀ and H = … + σ_H b vᵀ, it is A = σ_H u bᵀ, B = σ_W a vᵀ: AH + WB = (σ_H² + σ_W²) u vᵀ.
    """
    left, sigma_W, right_of_W = torch.linalg.svd(W, full_matrices=False)
    left_of_H, sigma_H, right = torch.linalg.svd(H, full_matrices=False)
    A = sigma_H[:, :1, None] * left[..., :1] @ left_of_H[..., :1].mT
    B = sigma_W[:, :1, None] * right_of_W[:, :1].mT @ right[:, :1]
    return _flat(A, B)


def _flat(first: Tensor, second: Tensor) -> Tensor:
    return torch.cat([first.flatten(-2), second.flatten(-2)], -1)


def main() -> None:
    """Print the share of instances that leave, for each family and multiple of the bound."""
    torch.set_num_threads(1)
    print(f"share of {INSTANCES} instances that leave their minimum within {STEPS:,} steps at LR = c · bound")
    print(" " * 34 + "".join(f"{multiple:>8g}" for multiple in MULTIPLES))
    for name, imbalance in (("balanced", 1.0), ("unbalanced (W × 3, H / 3)", 3.0)):
        for along_top in (True, False):
            shares = frontier(exact_factorisations(INSTANCES, along_top, imbalance))
            label = f"{name}, {'top' if along_top else 'random'}"
            print(f"{label:34s}" + "".join(f"{share:8.1%}" for share in shares))
    shares = frontier([linearised_networks(INSTANCES)])
    print(f"{'linearised networks':34s}" + "".join(f"{share:8.1%}" for share in shares))


if __name__ == "__main__":
    main()
