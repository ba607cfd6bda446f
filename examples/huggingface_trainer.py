"""Train a small GPT-2 from scratch with a learned schedule in the Trainer of transformers.

The model predicts the next character of the text of Python's built-in help.

Install: pip install . transformers accelerate
Run: python examples/huggingface_trainer.py [POLICY], a shipped name or the path of a policy file (default: universal)
In your script: put the mixin in front of your Trainer class and pass `optimizers=(optimizer, scheduler)`.
"""

import argparse
import tempfile
from pydoc_data.topics import topics
from statistics import fmean
from typing import Any

import torch
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PrinterCallback, Trainer, TrainingArguments, set_seed

from lrpilot import LearnedLR, PolicyError


class ShowLosses:
    """A mixin for any Trainer that passes each loss to the scheduler. The Trainer calls `step()` without one."""

    def training_step(self, *arguments: Any, **options: Any) -> Tensor:
        """Return the loss of a micro-batch, which the Trainer has divided by the number of them in a step."""
        loss = super().training_step(*arguments, **options)
        self.lr_scheduler.observe(loss * self.current_gradient_accumulation_steps)
        return loss


class LearnedTrainer(ShowLosses, Trainer):
    """The Trainer with the mixin. A subclass of `Trainer` works as well."""


def windows() -> tuple[Tensor, int]:
    """Return Python's built-in help as rows of 16 character numbers, and the number of distinct characters."""
    text = "".join(topics.values())
    number = {character: k for k, character in enumerate(sorted({*text}))}
    return torch.tensor([number[character] for character in text]).unfold(0, 16, 16), len(number)


def train(
    steps: int = 150,
    lr: float = 1e-3,
    seed: int = 0,
    resume: str | None = None,
    policy: str = "universal",
    **options: Any,
) -> tuple[list[float], list[float]]:
    """Train from a checkpoint or anew; `options` go to the Trainer; return loss and LR of each step."""
    set_seed(seed)
    rows, characters = windows()
    size = {"n_positions": 16, "n_embd": 32, "n_layer": 2, "n_head": 2}
    model = GPT2LMHeadModel(GPT2Config(vocab_size=characters, bos_token_id=None, eos_token_id=None, **size))
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr)
    scheduler = LearnedLR(optimizer, policy, horizon=steps)
    with tempfile.TemporaryDirectory() as folder:
        settings = {"output_dir": folder, "max_steps": steps, "logging_steps": 1, "save_strategy": "no", "seed": seed}
        batches = {"per_device_train_batch_size": 32, "gradient_accumulation_steps": 2}
        quiet = {"report_to": "none", "disable_tqdm": True, "dataloader_pin_memory": torch.cuda.is_available()}
        arguments = TrainingArguments(**{**settings, **batches, **quiet, **options})
        data = [{"input_ids": row, "labels": row} for row in rows]
        trainer = LearnedTrainer(model, arguments, train_dataset=data, optimizers=(optimizer, scheduler))
        trainer.remove_callback(PrinterCallback)
        trainer.train(resume_from_checkpoint=resume)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    return [entry["loss"] for entry in log], [entry["learning_rate"] for entry in log]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("policy", nargs="?", default="universal", help="a shipped name or the path of a policy file")
    try:
        losses, _ = train(policy=parser.parse_args().policy)
    except PolicyError as error:
        parser.exit(2, f"{error}\n")
    print(f"loss {fmean(losses[:10]):.3f} -> {fmean(losses[-10:]):.3f} (means of the first and the last 10 steps)")
