"""Train a small network with a learned schedule in Lightning.

The network predicts the topic of a passage of Python's built-in help from its word counts.

Install: pip install . lightning
Run: python examples/lightning_module.py [POLICY], a shipped name or the path of a policy file (default: universal)
In your script: return the scheduler from `configure_optimizers` with `"interval": "step"`. Call
`self.lr_schedulers().observe(loss)` in `training_step`.
"""

import argparse
import re
from collections import Counter
from pydoc_data.topics import topics
from statistics import fmean
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lrpilot import LearnedLR, PolicyError, load_policy


def passages() -> TensorDataset:
    """Return word counts of passages of up to 40 words, 132 from each of the eight longest topics, and their topics."""
    texts = [re.findall("[a-z]+", text.lower()) for text in sorted(topics.values(), key=len)[-8:]]
    common = [word for word, _ in Counter(word for words in texts for word in words).most_common(300)]
    counts = [Counter(words[len(words) * k // 132 :][:40]) for words in texts for k in range(132)]
    inputs = torch.tensor([[count.get(word, 0) for word in common] for count in counts], dtype=torch.float32)
    return TensorDataset(inputs, torch.arange(8).repeat_interleave(132))


class Classifier(lightning.LightningModule):
    """A network of one hidden layer. It keeps the loss and the LR of each batch."""

    def __init__(self, lr: float, policy: str) -> None:
        super().__init__()
        self.lr, self.policy = lr, load_policy(policy)
        self.losses, self.lrs = [], []
        self.network = torch.nn.Sequential(torch.nn.Linear(300, 64), torch.nn.ReLU(), torch.nn.Linear(64, 8))

    def configure_optimizers(self) -> dict[str, Any]:
        """Make the scheduler. Lightning knows the number of optimizer steps, accumulation included."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        scheduler = LearnedLR(optimizer, self.policy, horizon=self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Return the loss, and pass it to the scheduler. Lightning steps the scheduler after the optimizer."""
        loss = cross_entropy(self.network(batch[0]), batch[1])
        self.lr_schedulers().observe(loss)
        self.losses.append(loss.item())
        self.lrs.append(self.lr_schedulers().get_last_lr()[0])
        return loss


def train(
    epochs: int = 15,
    lr: float = 1e-3,
    seed: int = 0,
    resume: str | None = None,
    policy: str = "universal",
    **options: Any,
) -> tuple[list[float], list[float]]:
    """Train from a checkpoint or anew; `options` go to the Trainer; return loss and LR of each batch."""
    torch.manual_seed(seed)
    loader = DataLoader(passages(), batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    module = Classifier(lr, policy)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=epochs, **quiet, **{"enable_checkpointing": False, **options})
    trainer.fit(module, loader, ckpt_path=resume)
    return module.losses, module.lrs


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last epoch)")
