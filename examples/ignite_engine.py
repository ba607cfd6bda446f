"""Train with a learned schedule in pytorch-ignite: python examples/ignite_engine.py.

In your script: add an event handler that calls `scheduler.step(engine.state.output)` when an iteration is completed;
don't wrap the scheduler in ignite's `LRScheduler`, which never shows it a loss.
"""

from statistics import fmean

import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lrpilot import LearnedLR
from lrpilot.envs.dataset import split
from lrpilot.envs.datasets import load_dataset


def train(epochs: int = 15, lr: float = 1e-3, seed: int = 0) -> tuple[list[float], list[float]]:
    """Train a convolutional network on digits; return loss and LR of each step."""
    torch.manual_seed(seed)
    digits = split(load_dataset("digits"), "train")
    data = TensorDataset(digits.inputs, digits.targets)
    loader = DataLoader(data, batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 16, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Flatten(),
        torch.nn.Linear(256, 10),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    scheduler = LearnedLR(optimizer, "universal", horizon=epochs * len(loader))
    trainer = create_supervised_trainer(model, optimizer, cross_entropy)
    losses, lrs = [], []

    @trainer.on(Events.ITERATION_COMPLETED)
    def follow_the_loss(engine: Engine) -> None:
        losses.append(engine.state.output)
        lrs.append(scheduler.get_last_lr()[0])
        scheduler.step(engine.state.output)

    trainer.run(loader, max_epochs=epochs)
    return losses, lrs


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last epoch)")
