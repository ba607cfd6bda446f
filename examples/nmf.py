"""Factorise a matrix with a learned schedule that never exceeds a proven stability bound.

The default matrix is log(1 + count) of 500 words in each topic of Python's built-in help. MATRIX.npy is your own, one
sample a column. POLICY is a shipped name or the path of a policy file (default: nmf).

Install: pip install .
Run: python examples/nmf.py [MATRIX.npy] [POLICY]
In your script: pass `NMFBound` to the scheduler. Draw the next mini-batch before `scheduler.step(loss)`, because the
next LR depends on it.
"""

import argparse
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean

import numpy as np
import torch

from lrpilot import LearnedLR
from lrpilot.theory import NMFBound


def load_matrix(path: str | None) -> np.ndarray:
    """Return the matrix in a `.npy` file, or log(1 + count) of the words, shape (500, topics)."""
    if path is None:
        counts = [Counter(re.findall("[a-z]{3,}", text.lower())) for text in topics.values()]
        common = [word for word, _ in sum(counts, Counter()).most_common(500)]
        return np.log1p([[count[word] for count in counts] for word in common])
    X = np.load(path, allow_pickle=False)
    if X.ndim != 2 or not np.isfinite(X).all() or (X < 0).any():
        raise ValueError(f"{path}: must be a matrix of finite numbers, none of them negative")
    return X


def factorise(
    matrix: str | None = None, rank: int = 10, steps: int = 200, seed: int = 0, policy: str = "nmf"
) -> tuple[list[float], list[float]]:
    """Lower ½‖WH − X‖² by SGD on mini-batches of a quarter of the columns; return loss and LR of each step."""
    rng = torch.Generator().manual_seed(seed)
    X = torch.from_numpy(load_matrix(matrix)).float()
    (m, n), size = X.shape, 2 * (X.mean() / rank).sqrt()
    W = torch.nn.Parameter(size * torch.rand(m, rank, generator=rng))
    H = torch.nn.Parameter(size * torch.rand(rank, n, generator=rng))
    batch = torch.randperm(n, generator=rng)[: max(1, n // 4)]
    optimizer = torch.optim.SGD([W, H], lr=1.0)
    scheduler = LearnedLR(optimizer, policy, horizon=steps, bound=NMFBound(W, H, X, columns=lambda: batch))
    losses, lrs = [], []
    for _ in range(steps):
        lrs.append(scheduler.get_last_lr()[0])
        optimizer.zero_grad()
        loss = n / len(batch) * (W @ H[:, batch] - X[:, batch]).square().sum() / 2
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            W.clamp_(min=0), H.clamp_(min=0)
        batch = torch.randperm(n, generator=rng)[: max(1, n // 4)]  # the next mini-batch, before its LR
        scheduler.step(loss)
        losses.append(loss.item())
    return losses, lrs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", metavar="MATRIX.npy or POLICY")
    words = parser.parse_args().words
    matrix = next((word for word in words if word.endswith(".npy")), None)
    policy = next((word for word in words if not word.endswith(".npy")), "nmf")
    try:
        losses, _ = factorise(matrix, policy=policy)
    except (OSError, ValueError) as error:  # a PolicyError is a ValueError
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:10]):.6g} -> {fmean(losses[-10:]):.6g} (means of the first and the last 10 steps)")
