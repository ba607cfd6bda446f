"""Fit a model with a learned schedule in NumPy, without any framework.

Softmax regression predicts the topic of a passage of Python's built-in help from its word counts.

Install: pip install .
Run: python examples/numpy_loop.py [POLICY], a shipped name or the path of a policy file (default: universal)
In your script: make a schedule from the LR that you would have used and the number of steps. Begin with
`schedule.lr`, and call `lr = schedule(loss)` after each step.
"""

import argparse
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean

import numpy as np

from lrpilot import PolicyError, load_policy


def passages() -> tuple[np.ndarray, np.ndarray]:
    """Return word counts of passages of up to 40 words, 132 from each of the eight longest topics, and their topics."""
    texts = [re.findall("[a-z]+", text.lower()) for text in sorted(topics.values(), key=len)[-8:]]
    common = [word for word, _ in Counter(word for words in texts for word in words).most_common(300)]
    counts = [Counter(words[len(words) * k // 132 :][:40]) for words in texts for k in range(132)]
    return np.array([[count.get(word, 0) for word in common] for count in counts]), np.repeat(np.arange(8), 132)


def train(
    steps: int = 300, lr: float = 0.1, seed: int = 0, policy: str = "universal"
) -> tuple[list[float], list[float]]:
    """Fit softmax regression with mini-batches of 64; return loss and LR of each step."""
    rng = np.random.default_rng(seed)
    X, labels = passages()  # (N, 300), (N,)
    W = np.zeros((300, 8))
    schedule = load_policy(policy).schedule(base_lr=lr, horizon=steps)
    lr = schedule.lr
    losses, lrs = [], []
    for _ in range(steps):
        batch = rng.integers(len(X), size=64)
        logits = X[batch] @ W
        logits -= logits.max(1, keepdims=True)
        probabilities = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        loss = -np.log(probabilities[np.arange(64), labels[batch]]).mean()
        W -= lr * X[batch].T @ (probabilities - np.eye(8)[labels[batch]]) / 64
        losses.append(float(loss))
        lrs.append(lr)
        lr = schedule(loss)
    return losses, lrs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:20]):.3f} -> {fmean(losses[-20:]):.3f} (means of the first and the last 20 steps)")
