"""Factorise a real matrix with a learned schedule: python examples/nmf.py [MATRIX.npy or a name such as digits]."""

import sys

import torch

from lrpilot import LearnedLR
from lrpilot.envs.data import load_matrix
from lrpilot.theory import NMFBound


def factorise(name: str, rank: int = 10, steps: int = 200, seed: int = 0) -> tuple[float, float]:
    """Return ½‖WH − X‖² before and after `steps` SGD steps on mini-batches of a quarter of the columns."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.from_numpy(load_matrix(name)).float()
    (m, n), size = X.shape, 2 * (X.mean() / rank).sqrt()
    W = torch.nn.Parameter(size * torch.rand(m, rank, generator=rng))
    H = torch.nn.Parameter(size * torch.rand(rank, n, generator=rng))
    start = float((W @ H - X).square().sum() / 2)
    batch = torch.randperm(n, generator=rng)[: max(1, n // 4)]
    optimizer = torch.optim.SGD([W, H], lr=1.0)
    scheduler = LearnedLR(optimizer, "nmf", horizon=steps, bound=NMFBound(W, H, X, columns=lambda: batch))
    for _ in range(steps):
        optimizer.zero_grad()
        loss = n / len(batch) * (W @ H[:, batch] - X[:, batch]).square().sum() / 2
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            W.clamp_(min=0), H.clamp_(min=0)
        batch = torch.randperm(n, generator=rng)[: max(1, n // 4)]  # drawn before the LR that it is used with
        scheduler.step(loss)
    return start, float((W @ H - X).square().sum() / 2)


if __name__ == "__main__":
    print("loss {:.6g} -> {:.6g}".format(*factorise(sys.argv[1] if len(sys.argv) > 1 else "breast_cancer")))
