"""Train with a learned schedule under accelerate: accelerate launch examples/accelerate_loop.py, or plain python.

In your script: `prepare` the scheduler with the rest, hand it the loss of every micro-batch by
`scheduler.scheduler.observe(loss)`, and call `scheduler.step()` where you always do.
"""

import math
from statistics import fmean

import torch
from accelerate import Accelerator
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lrpilot import LearnedLR
from lrpilot.envs.dataset import split
from lrpilot.envs.datasets import load_dataset


def train(
    epochs: int = 15, accumulate: int = 1, lr: float = 1e-3, seed: int = 0, cpu: bool = False
) -> tuple[list[float], list[float]]:
    """Train a convolutional network on digits; return loss and LR of each micro-batch."""
    accelerator = Accelerator(cpu=cpu, gradient_accumulation_steps=accumulate)
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
    loader = accelerator.prepare(loader)  # first, so that its length is that of this process
    calls = math.ceil(len(loader) / accumulate) * accelerator.num_processes  # accelerate steps once for each process
    scheduler = LearnedLR(optimizer, "universal", horizon=epochs * calls)
    model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
    losses, lrs = [], []
    for _ in range(epochs):
        for inputs, targets in loader:
            lrs.append(scheduler.get_last_lr()[0])
            with accelerator.accumulate(model):
                loss = cross_entropy(model(inputs), targets)
                accelerator.backward(loss)
                optimizer.step()
                scheduler.scheduler.observe(loss)
                scheduler.step()
                optimizer.zero_grad()
            losses.append(loss.item())
    return losses, lrs


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last 17 batches)")
