"""Train with a learned schedule in Lightning: python examples/lightning_module.py.

In your module: return the scheduler from `configure_optimizers` with `"interval": "step"`, and call
`self.lr_schedulers().observe(loss)` in `training_step`.
"""

from statistics import fmean
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from lrpilot import LearnedLR
from lrpilot.envs.dataset import split
from lrpilot.envs.datasets import load_dataset


class Classifier(lightning.LightningModule):
    """A convolutional network for digits; remembers loss and LR of each batch."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.lr = lr
        self.losses: list[float] = []
        self.lrs: list[float] = []
        self.network = torch.nn.Sequential(
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
            torch.nn.Linear(256, 10),
        )

    def configure_optimizers(self) -> dict[str, Any]:
        """Make the scheduler; Lightning knows how many optimizer steps there will be, accumulation included."""
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.lr)
        scheduler = LearnedLR(optimizer, "universal", horizon=self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        """Return the loss, and show it to the scheduler, which Lightning steps after the optimizer."""
        inputs, targets = batch
        loss = cross_entropy(self.network(inputs), targets)
        self.lr_schedulers().observe(loss)
        self.losses.append(loss.item())
        self.lrs.append(self.lr_schedulers().get_last_lr()[0])
        return loss


def train(
    epochs: int = 15, lr: float = 1e-3, seed: int = 0, resume: str | None = None, **options: Any
) -> tuple[list[float], list[float]]:
    """Train on digits, from a checkpoint or anew; `options` go to the Trainer; return loss and LR of each batch."""
    torch.manual_seed(seed)
    digits = split(load_dataset("digits"), "train")
    data = TensorDataset(digits.inputs, digits.targets)
    loader = DataLoader(data, batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed))
    module = Classifier(lr)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(max_epochs=epochs, **quiet, **{"enable_checkpointing": False, **options})
    trainer.fit(module, loader, ckpt_path=resume)
    return module.losses, module.lrs


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:17]):.3f} -> {fmean(losses[-17:]):.3f} (means of the first and the last epoch)")
