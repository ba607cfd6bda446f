"""Gradients that a loop clears before the scheduler's step are read all the same, from the first decision on."""

import copy
import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

from lrpilot import LearnedLR

Clear = Callable[[Optimizer, int], None]  # what a loop clears between the optimizer's step and the scheduler's
HORIZON = 240  # steps: universal decides at each fourth


def never(_: Optimizer, __: int) -> None:
    """As the README has it."""


def to_none(optimizer: Optimizer, _: int) -> None:
    optimizer.zero_grad()


def to_zeros(optimizer: Optimizer, _: int) -> None:
    optimizer.zero_grad(set_to_none=False)


def at_first(optimizer: Optimizer, step: int) -> None:
    if step < 5:
        optimizer.zero_grad()


class Loop:
    """A small training."""

    def __init__(self, clear: Clear, policy: str = "universal") -> None:
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 1))
        self.clear, self.done = clear, 0
        self.optimizer = SGD(self.model.parameters(), lr=0.3)
        self.scheduler = LearnedLR(self.optimizer, policy, horizon=HORIZON)

    def run(self, steps: int) -> list[float]:
        lrs = []
        for step in range(self.done, self.done + steps):
            x = torch.randn(16, 5, generator=torch.Generator().manual_seed(step))
            self.optimizer.zero_grad()
            loss = (self.model(x) - x.sum(1, keepdim=True)).square().mean()
            loss.backward()
            self.optimizer.step()
            self.clear(self.optimizer, step)
            self.scheduler.step(loss.detach())
            lrs.append(self.scheduler.get_last_lr()[0])
        self.done += steps
        return lrs

    def state(self) -> list[dict[str, Any]]:
        return [copy.deepcopy(part.state_dict()) for part in (self.model, self.optimizer, self.scheduler)]

    def load(self, states: list[dict[str, Any]], done: int) -> "Loop":
        for part, state in zip((self.model, self.optimizer, self.scheduler), states, strict=True):
            part.load_state_dict(state)  # type: ignore[attr-defined]
        self.done = done
        return self


@pytest.mark.parametrize("clear", [to_none, to_zeros])
def test_only_the_first_decision_goes_by_the_losses_alone(clear: Clear) -> None:
    expected = Loop(at_first).run(HORIZON)
    assert Loop(clear).run(HORIZON) == expected
    assert Loop(never).run(HORIZON)[:3] == expected[:3]


def test_a_loop_that_keeps_its_gradients_gets_no_hook() -> None:
    loop = Loop(never)
    loop.run(60)
    assert not loop.optimizer._optimizer_step_post_hooks
    assert loop.scheduler.state_dict()["reads_early"] is False


@pytest.mark.parametrize("at", [3, 4, 50, 51])
def test_a_run_that_is_resumed_goes_on_bit_for_bit(at: int) -> None:
    whole = Loop(to_none).run(HORIZON)
    first = Loop(to_none)
    first.run(at)
    second = Loop(to_none).load(first.state(), at)
    assert second.run(HORIZON - at) == whole[at:]


def test_a_state_of_a_loop_that_keeps_them_reads_them_late_again() -> None:
    kept = Loop(never)
    kept.run(100)
    other = Loop(to_none)
    other.run(20)
    other.clear = never
    assert other.load(kept.state(), 100).run(100) == kept.run(100)


def test_a_copy_reads_its_own_optimizer() -> None:
    loop = Loop(to_none)
    loop.run(100)
    other = copy.deepcopy(loop)
    other.run(20)
    assert len(other.optimizer._optimizer_step_post_hooks) == 1
    assert other.scheduler.state_dict()["schedule"]["signals.has_gradient"] == 1.0


def test_without_gradients_the_losses_alone_decide() -> None:
    parameter = nn.Parameter(torch.ones(3))
    optimizer = SGD([parameter], lr=0.1)
    scheduler = LearnedLR(optimizer, "universal", horizon=HORIZON)
    for step in range(100):
        optimizer.step()
        scheduler.step(1.0 + 0.5**step)
    assert scheduler.state_dict()["schedule"]["signals.has_gradient"] == 0.0


def test_a_scheduler_that_is_gone_leaves_the_optimizer_alone() -> None:
    loop = Loop(to_none)
    loop.run(20)
    (hook,) = loop.optimizer._optimizer_step_post_hooks.values()
    del loop.scheduler
    gc.collect()
    loop.optimizer.step()
    assert hook(loop.optimizer, (), {}) is None
