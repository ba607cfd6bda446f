"""What a schedule is used with: the right order of calls, closures, scalers, and torch's own combinations."""

from __future__ import annotations

import copy
import math
import warnings
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import ChainedScheduler, ConstantLR, LinearLR, SequentialLR

HORIZON = 60


def test_right_use_gives_no_warning_and_wrong_order_gives_torchs(Loop: Any) -> None:
    loop = Loop()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loop.step(), loop.step()
    wrong = Loop()
    with pytest.warns(UserWarning, match=r"lr_scheduler.step\(\)` before `optimizer.step"):
        wrong.scheduler.step(1.0)


def test_an_overridden_optimizer_step_gives_torchs_warning(Loop: Any) -> None:
    loop = Loop()
    step = loop.optimizer.step
    loop.optimizer.step = lambda *_: step()  # type: ignore[method-assign]
    with pytest.warns(UserWarning, match="has been overridden"):
        loop.step()


def test_a_closure_may_be_called_many_times(make: Any) -> None:
    torch.manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(5))
    optimizer = torch.optim.LBFGS([weight], lr=0.05)
    scheduler = make(optimizer)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = (weight - 1).square().sum() + 1
        loss.backward()
        return loss

    first = closure().item()
    for _ in range(9):
        scheduler.step(optimizer.step(closure))  # type: ignore[arg-type]
    assert closure().item() < first
    assert scheduler.last_epoch == 9


def test_a_step_that_a_grad_scaler_skips_is_no_trouble(Loop: Any) -> None:
    loop = Loop()
    scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
    for k in range(9):
        loop.optimizer.zero_grad()
        loss = (loop.model(loop.x) - loop.y).square().mean()
        scaler.scale(loss * math.inf if k == 3 else loss).backward()
        scaler.step(loop.optimizer)
        scaler.update()
        loop.scheduler.step(loss)
    assert all(math.isfinite(lr) for lr in loop.lrs())
    assert scaler.get_scale() < 4


def test_inside_sequential_lr_it_begins_at_its_own_start(Loop: Any) -> None:
    loop = Loop()
    start = loop.lrs()
    chain = SequentialLR(loop.optimizer, [ConstantLR(loop.optimizer, 0.5, 99), loop.scheduler], [3])
    assert loop.lrs() == [0.025, 0.0125]
    trace = []
    for _ in range(20):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        trace.append(loop.lrs())
    assert trace[:2] == [[0.025, 0.0125]] * 2
    assert trace[2] == start
    assert all(0 < lr < 1 for lrs in trace for lr in lrs)
    state = copy.deepcopy(chain.state_dict())
    chain.load_state_dict(state)
    assert loop.scheduler.last_epoch == 17


def test_inside_sequential_lr_it_may_come_first(Loop: Any) -> None:
    loop, alone = Loop(), Loop()
    chain = SequentialLR(loop.optimizer, [loop.scheduler, ConstantLR(loop.optimizer, 0.5, 99)], [9])
    assert loop.lrs() == alone.lrs()
    for _ in range(8):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        assert loop.lrs() == alone.step()
    loop.optimizer.step()
    chain.step()
    assert loop.lrs() == [0.025, 0.0125]


def test_inside_chained_scheduler_it_has_its_say(Loop: Any) -> None:
    loop, alone = Loop(), Loop()
    chain = ChainedScheduler([LinearLR(loop.optimizer, 0.5), loop.scheduler], loop.optimizer)
    loop.optimizer.param_groups[0]["lr"], loop.optimizer.param_groups[1]["lr"] = alone.lrs()
    for _ in range(9):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.observe(loss)
        chain.step()
        assert loop.lrs() == alone.step()  # the last one decides: it does not build on what others set
