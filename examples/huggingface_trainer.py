"""Train a small GPT-2 from scratch with a learned schedule: python examples/huggingface_trainer.py.

In your script: put the mixin in front of your Trainer class and pass `optimizers=(optimizer, scheduler)`.
"""

import tempfile
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments, set_seed

from lrpilot import LearnedLR
from lrpilot.envs.dataset import split
from lrpilot.envs.datasets import load_dataset


class ShowLosses:
    """A mixin for any Trainer that shows each loss to the scheduler; the Trainer itself calls `step()` without one."""

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Return the loss of a micro-batch, which the Trainer has divided by the number of them in a step."""
        loss = super().training_step(*arguments, **options)
        self.lr_scheduler.observe(loss * self.current_gradient_accumulation_steps)
        return loss


class LearnedTrainer(ShowLosses, Trainer):
    """In place of `Trainer` you may have a subclass of it."""


def train(
    steps: int = 150, lr: float = 1e-3, seed: int = 0, resume: str | None = None, **options: Any
) -> tuple[list[float], list[float]]:
    """Train on Python's manual, anew or from a checkpoint; `options` go to the Trainer; return loss and LR by step."""
    set_seed(seed)
    text = split(load_dataset("manual"), "train")
    windows = [{"input_ids": window, "labels": window} for window in text.inputs]
    size = {"n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 2}
    config = GPT2Config(vocab_size=text.classes, bos_token_id=None, eos_token_id=None, **size)
    model = GPT2LMHeadModel(config)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    scheduler = LearnedLR(optimizer, "universal", horizon=steps)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"output_dir": folder, "max_steps": steps, "logging_steps": 1, "save_strategy": "no", "seed": seed}
        batches = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 2}
        quiet = {"report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": torch.cuda.is_available()}
        arguments = TrainingArguments(**{**settings, **batches, **quiet, **options})
        trainer = LearnedTrainer(model, arguments, train_dataset=windows, optimizers=(optimizer, scheduler))
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=resume)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [entry["loss"] for entry in log], [entry["learning_rate"] for entry in log]


if __name__ == "__main__":
    losses, _ = train()
    print(f"loss {fmean(losses[:10]):.3f} -> {fmean(losses[-10:]):.3f} (means of the first and the last 10 steps)")
