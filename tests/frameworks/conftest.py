"""The examples as modules, a scheduler that remembers what it was shown, and what the LRs must then be."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, SupportsFloat

import pytest
from torch import Tensor

from lrpilot import LearnedLR, load_policy
from lrpilot.schedulers import parameters

EXAMPLES = Path(__file__).parents[2] / "examples"


class Spied(LearnedLR):
    """The real scheduler; remembers the losses of each step, what it read of the weights, and the LR after it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.open, self.steps, self.lrs = [], [], []
        super().__init__(*arguments, **options)
        self.base_lr, self.horizon = self.base_lrs[0], options["horizon"]
        self.open, self.steps, self.lrs = [], [], self.get_last_lr()[:1]  # torch's initial step is none
        self.start, self.read, advance = parameters.weights(self.optimizer), [], self._schedule.advance

        def remember(*read: Any) -> float:
            self.read.append(read)
            return advance(*read)

        self._schedule.advance = remember

    def observe(self, loss: SupportsFloat) -> None:
        self.open.append(loss.item() if isinstance(loss, Tensor) else float(loss))
        super().observe(loss)

    def step(self, metrics: SupportsFloat | None = None, epoch: int | None = None) -> None:
        if metrics is not None:
            self.observe(metrics)
        super().step()
        self.steps.append(self.open)
        self.open = []
        self.lrs.append(self.get_last_lr()[0])

    def replay(self, losses: list[float] | None = None) -> list[float]:
        """The LRs that the framework-free schedule gives on the mean loss of each step, the first LR included."""
        means = losses or [sum(step) / len(step) for step in self.steps]
        schedule = load_policy("universal").schedule(base_lr=self.base_lr, horizon=self.horizon)
        schedule.tracker.start(self.start)
        pairs = zip(means, self.read, strict=True)
        return [schedule.lr, *(schedule(loss, *read) for loss, read in pairs)]


def replay(losses: list[float], base_lr: float, horizon: int) -> list[float]:
    """The same by the losses alone."""
    schedule = load_policy("universal").schedule(base_lr=base_lr, horizon=horizon)
    return [schedule.lr, *(schedule(loss) for loss in losses)]


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example() -> Callable[[str], ModuleType]:
    return load


@pytest.fixture
def schedule_lrs() -> Callable[..., list[float]]:
    return replay


@pytest.fixture
def spies(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType], list[Spied]]:
    """Give it an example: the schedulers that the example makes from then on are spied on, and appear in the list."""

    def watch(module: ModuleType) -> list[Spied]:
        made: list[Spied] = []

        def make(*arguments: Any, **options: Any) -> Spied:
            made.append(Spied(*arguments, **options))
            return made[-1]

        monkeypatch.setattr(module, "LearnedLR", make)
        return made

    return watch


@pytest.fixture(scope="session")
def plain() -> tuple[list[float], list[float]]:
    """Losses and LRs of four epochs of the plain loop, which others must repeat."""
    return load("plain_pytorch").train(epochs=4)
