"""Train with a learned schedule without any framework: python examples/numpy_loop.py.

In your script: make a schedule from the LR you would have used and the number of steps, begin with `schedule.lr`, and
call `lr = schedule(loss)` after each step.
"""

from statistics import fmean

import numpy as np

from lrpilot import load_policy
from lrpilot.envs.labelled_data import load_labelled


def train(steps: int = 300, lr: float = 0.1, seed: int = 0) -> tuple[list[float], list[float]]:
    """Fit softmax regression to digits with mini-batches of 64; return loss and LR of each step."""
    rng = np.random.default_rng(seed)
    digits = load_labelled("digits")
    X, labels = digits.inputs / 16, digits.labels  # (N, 64), (N,)
    W = np.zeros((X.shape[1], 10))
    schedule = load_policy("universal").schedule(base_lr=lr, horizon=steps)
    lr = schedule.lr
    losses, lrs = [], []
    for _ in range(steps):
        batch = rng.integers(len(X), size=64)
        logits = X[batch] @ W
        logits -= logits.max(1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(probabilities[np.arange(64), labels[batch]]).mean()
        W -= lr * X[batch].T @ (probabilities - np.eye(10)[labels[batch]]) / 64
        losses.append(float(loss))
        lrs.append(lr)
        lr = schedule(loss)
    return losses, lrs


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:20]):.3f} -> {fmean(losses[-20:]):.3f} (means of the first and the last 20 steps)")
