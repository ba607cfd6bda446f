"""Train a small network with a learned schedule under accelerate.

The network predicts the topic of a passage of Python's built-in help from its word counts.

Install: pip install . accelerate
Run: accelerate launch examples/accelerate_loop.py [POLICY], or plain python. POLICY is a shipped name or the path of a
policy file (default: universal).
In your script: pass the scheduler to `prepare` with the rest. Call `scheduler.scheduler.observe(loss)` on each
micro-batch, and `scheduler.step()` where you always do.
"""

import argparse
import math
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean

import torch
from accelerate import Accelerator
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
    epochs: int = 15, accumulate: int = 1, lr: float = 1e-3, seed: int = 0, cpu: bool = False, policy: str = "universal"
) -> tuple[list[float], list[float]]:
    """Train a network of one hidden layer; return loss and LR of each micro-batch."""
    accelerator = Accelerator(cpu=cpu, gradient_accumulation_steps=accumulate)
    torch.manual_seed(seed)
    loader = DataLoader(passages(), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    model = torch.nn.Sequential(torch.nn.Linear(300, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    loader = accelerator.prepare(loader)  # first, so that its length is that of this process
    calls = math.ceil(len(loader) / accumulate) * accelerator.num_processes  # accelerate steps once for each process
    scheduler = LearnedLR(optimizer, policy, horizon=epochs * calls)
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
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last 17 batches)")
