"""States that an earlier version (commit 62cdda6) saved in mid-run go on with the LRs that it set."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import SGD, Optimizer

from lrpilot import GreedyLR, LearnedLR

SAVED = Path(__file__).with_name("earlier_states.pt")
FOUR_AGENTS = Path(__file__).parent / "format1" / "universal.safetensors"  # what shipped as `universal` then
MAKERS: dict[str, Callable[[Optimizer], Any]] = {
    "universal": lambda made: LearnedLR(made, FOUR_AGENTS, horizon=240),
    "cnn": lambda made: LearnedLR(made, "cnn", horizon=240, warmup=30, lr_max=0.5),
    "nmf": lambda made: LearnedLR(made, "nmf", horizon=240, bound=lambda: 0.05),
    "greedy": lambda made: GreedyLR(made, factor=0.8, patience=1, every=5),
    "transformers": lambda made: GreedyLR(made, factor=0.8, patience=1, compat="transformers"),
}
CUT = 123


class Run:
    """Two groups, gradients, a loss that goes up and down."""

    def __init__(self, name: str) -> None:
        torch.manual_seed(0)
        self.weights = [torch.nn.Parameter(torch.randn(4, 3)), torch.nn.Parameter(torch.randn(2))]
        groups = [{"params": [weight], "lr": lr} for weight, lr in zip(self.weights, (0.1, 0.02), strict=True)]
        self.optimizer = SGD(groups, momentum=0.9)
        self.scheduler = MAKERS[name](self.optimizer)

    def steps(self, first: int, last: int) -> list[list[float]]:
        lrs = []
        for step in range(first, last):
            self.optimizer.zero_grad()
            loss = sum((weight - step % 3).square().mean() for weight in self.weights) + 0.5
            loss.backward()  # type: ignore[union-attr]
            self.optimizer.step()
            self.scheduler.step(loss)
            lrs.append([group["lr"] for group in self.optimizer.param_groups])
        return lrs


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_of_an_earlier_version_goes_on_with_the_same_lrs(name: str) -> None:
    saved, run = torch.load(SAVED, weights_only=True)[name], Run(name)
    with torch.no_grad():
        for weight, value in zip(run.weights, saved["weights"], strict=True):
            weight.copy_(value)
    run.optimizer.load_state_dict(saved["optimizer"])
    run.scheduler.load_state_dict(saved["scheduler"])
    after = torch.tensor(run.steps(CUT, 239))
    exact = platform.machine() in ("x86_64", "AMD64")
    torch.testing.assert_close(after[:5], torch.tensor(saved["lrs"])[:5], rtol=1e-6 if exact else 1e-3, atol=0.0)


if __name__ == "__main__":
    states = {}
    for kind in MAKERS:
        run = Run(kind)
        run.steps(0, CUT)
        state = {"optimizer": run.optimizer.state_dict(), "scheduler": run.scheduler.state_dict()}
        file = Path(sys.argv[1])
        torch.save({"weights": [weight.detach() for weight in run.weights], **state}, file)
        states[kind] = {**torch.load(file, weights_only=True), "lrs": run.steps(CUT, 239)}
    torch.save(states, file)
