"""What torch, its users and the frameworks expect of a scheduler: for every class of ours, a loop to try it in."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch.optim import SGD

from lrpilot import GreedyLR, LearnedLR
from lrpilot.schedulers.base import AbstractMetricLR

Maker = Callable[..., AbstractMetricLR]
HORIZON = 60
MAKERS: dict[str, Maker] = {
    "universal": lambda optimizer, **more: LearnedLR(optimizer, "universal", horizon=HORIZON, **more),
    "bounded": lambda optimizer, **more: LearnedLR(optimizer, "linear", horizon=HORIZON, bound=bound, **more),
    "greedy": lambda optimizer, **more: GreedyLR(optimizer, factor=0.7, patience=1, **more),
    "transformers": lambda optimizer, **more: GreedyLR(
        optimizer, factor=0.7, patience=1, min_lr=1e-4, compat="transformers", **more
    ),
}


def bound() -> float:
    return 0.08


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.fixture(params=[name for name in MAKERS if name != "transformers"])
def ours(request: pytest.FixtureRequest) -> Maker:
    """All but the one that does what `transformers` does: an LR of its own for each group, NaN included."""
    return MAKERS[request.param]


class TrainingLoop:
    """A small regression in two parameter groups whose whole state can be saved and restored."""

    def __init__(self, make: Maker, lr: Any = 0.05, **more: Any) -> None:
        torch.manual_seed(0)
        self.model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
        self.x, self.y = torch.randn(32, 4), torch.randn(32, 1)
        groups = [
            {"params": layer.parameters(), "lr": lr / share}
            for layer, share in zip(self.model[::2], (1, 2), strict=True)
        ]
        self.optimizer = SGD(groups, lr=1.0, momentum=0.9)
        self.scheduler = make(self.optimizer, **more)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss = (self.model(self.x) - self.y).square().mean()
        loss.backward()
        return loss

    def step(self) -> list[float]:
        loss = self.loss()
        self.optimizer.step()
        self.scheduler.step(loss)
        return self.lrs()

    def lrs(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def save(self) -> io.BytesIO:
        parts = (self.model, self.optimizer, self.scheduler)
        file = io.BytesIO()
        torch.save([part.state_dict() for part in parts], file)
        file.seek(0)
        return file

    def load(self, file: io.BytesIO) -> None:
        states = torch.load(file, weights_only=True)
        for part, state in zip((self.model, self.optimizer, self.scheduler), states, strict=True):
            part.load_state_dict(state)


@pytest.fixture
def Loop(make: Maker) -> Callable[..., TrainingLoop]:
    """Makes loops that use the schedule."""
    return partial(TrainingLoop, make)


@pytest.fixture
def OurLoop(ours: Maker) -> Callable[..., TrainingLoop]:
    """The same without the one that does what `transformers` does."""
    return partial(TrainingLoop, ours)
