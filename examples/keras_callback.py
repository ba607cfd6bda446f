"""Train with a learned schedule in Keras 3 on torch: python examples/keras_callback.py.

In your script: copy the callback and pass `callbacks=[LearnedLR()]` to `model.fit`.
"""

import os
from statistics import fmean
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # Keras reads it once, when it is imported

import keras

from lrpilot import load_policy
from lrpilot.envs.labelled_data import load_labelled


class LearnedLR(keras.callbacks.Callback):
    """Set the optimizer's LR by a learned schedule; remembers loss and LR of each step."""

    def __init__(self, policy: str = "universal") -> None:
        super().__init__()
        self.policy = load_policy(policy)
        self.losses: list[float] = []
        self.lrs: list[float] = []

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Take the LR that the model was compiled with as the base LR."""
        optimizer, horizon = self.model.optimizer, self.params["epochs"] * self.params["steps"]
        self.schedule = self.policy.schedule(base_lr=float(optimizer.learning_rate), horizon=horizon)
        optimizer.learning_rate = self.schedule.lr

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Set the LR of the next step; Keras logs the mean loss since the epoch began, so undo the mean."""
        before = self.total if batch else 0.0
        self.total = (batch + 1) * logs["loss"]
        self.losses.append(self.total - before)
        self.lrs.append(self.schedule.lr)
        self.model.optimizer.learning_rate = self.schedule(self.losses[-1])


def train(epochs: int = 15, lr: float = 1e-3, seed: int = 0) -> tuple[list[float], list[float]]:
    """Train a small network on digits; return loss and LR of each step."""
    keras.utils.set_random_seed(seed)
    digits = load_labelled("digits")
    model = keras.Sequential([keras.layers.Dense(64, activation="relu"), keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(lr), loss)
    learned = LearnedLR()
    model.fit(digits.inputs / 16, digits.labels, batch_size=64, epochs=epochs, callbacks=[learned], verbose=0)
    return learned.losses, learned.lrs


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:29]):.3f} -> {fmean(losses[-29:]):.3f} (means of the first and the last epoch)")
