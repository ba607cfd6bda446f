"""Train a small network with a learned schedule in pytorch-ignite.

The network predicts the topic of a passage of Python's built-in help from its word counts.

Install: pip install . pytorch-ignite
Run: python examples/ignite_engine.py [POLICY], a shipped name or the path of a policy file (default: universal)
In your script: add an event handler that calls `scheduler.step(engine.state.output)` when an iteration is completed.
Don't wrap the scheduler in ignite's `LRScheduler`, which never passes it a loss.
"""

import argparse
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean

import torch
from ignite.engine import Engine, Events, create_supervised_trainer
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lrpilot import LearnedLR, PolicyError


def passages() -> TensorDataset:
    """Return word counts of passages of up to 40 words, 132 from each of the eight longest topics, and their topics."""
    texts = [re.findall("[a-z]+", text.lower()) for text in sorted(topics.values(), key=len)[-8:]]
    common = [word for word, _ in Counter(word for words in texts for word in words).most_common(300)]
    counts = [Counter(words[len(words) * k // 132 :][:40]) for words in texts for k in range(132)]
    inputs = torch.tensor([[count.get(word, 0) for word in common] for count in counts], dtype=torch.float32)
    return TensorDataset(inputs, torch.arange(8).repeat_interleave(132))


def train(
    epochs: int = 15, lr: float = 1e-3, seed: int = 0, policy: str = "universal"
) -> tuple[list[float], list[float]]:
    """Train a network of one hidden layer; return loss and LR of each step."""
    torch.manual_seed(seed)
    loader = DataLoader(passages(), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    model = torch.nn.Sequential(torch.nn.Linear(300, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    scheduler = LearnedLR(optimizer, policy, horizon=epochs * len(loader))
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last epoch)")
