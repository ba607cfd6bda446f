"""Train a small network with a learned schedule in Keras 3 on torch.

The network predicts the topic of a passage of Python's built-in help from its word counts.

Install: pip install . keras
Run: python examples/keras_callback.py [POLICY], a shipped name or the path of a policy file (default: universal)
In your script: copy the callback and pass `callbacks=[LearnedLR()]` to `model.fit`.
"""

import argparse
import os
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean
from typing import Any

import numpy as np

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it once, when it is imported

import keras

from lrpilot import PolicyError, load_policy


class LearnedLR(keras.callbacks.Callback):
    """Set the optimizer's LR by a learned schedule. It keeps the loss and the LR of each step."""

    def __init__(self, policy: str = "universal") -> None:
        super().__init__()
        self.policy = load_policy(policy)
        self.losses, self.lrs = [], []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take the LR that the model was compiled with as the base LR."""
        optimizer, horizon = self.model.optimizer, self.params["epochs"] * self.params["steps"]
        self.schedule = self.policy.schedule(base_lr=float(optimizer.learning_rate), horizon=horizon)
        optimizer.learning_rate = self.schedule.lr

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the LR of the next step. Keras logs the mean loss since the epoch began, so undo the mean."""
        before = self.total if batch else 0.0
        self.total = (batch + 1) * logs["loss"]
        self.losses.append(self.total - before)
        self.lrs.append(self.schedule.lr)
        self.model.optimizer.learning_rate = self.schedule(self.losses[-1])


def passages() -> tuple[np.ndarray, np.ndarray]:
    """Return word counts of passages of up to 40 words, 132 from each of the eight longest topics, and their topics."""
    texts = [re.findall("[a-z]+", text.lower()) for text in sorted(topics.values(), key=len)[-8:]]
    common = [word for word, _ in Counter(word for words in texts for word in words).most_common(300)]
    counts = [Counter(words[len(words) * k // 132 :][:40]) for words in texts for k in range(132)]
    inputs = np.array([[count.get(word, 0) for word in common] for count in counts], dtype=np.float32)
    return inputs, np.repeat(np.arange(8), 132)


def train(
    epochs: int = 15, lr: float = 1e-3, seed: int = 0, policy: str = "universal"
) -> tuple[list[float], list[float]]:
    """Train a network of one hidden layer; return loss and LR of each step."""
    keras.utils.set_random_seed(seed)
    inputs, labels = passages()
    model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(8)])
    model.compile(keras.optimizers.Adam(lr), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    learned = LearnedLR(policy)
    model.fit(inputs, labels, batch_size=64, epochs=epochs, callbacks=[learned], verbose=0)
    return learned.losses, learned.lrs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last epoch)")
