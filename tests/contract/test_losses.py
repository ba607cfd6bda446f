"""What a schedule is told: losses of any kind, in parts, not finite, or none at all."""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

HORIZON = 60


@pytest.mark.parametrize("make", ["bounded", "greedy", "transformers"], indirect=True)
def test_without_any_loss_the_lr_holds_and_one_warning_says_so(Loop: Any) -> None:
    loop = Loop()
    start = loop.lrs()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(9):
            loop.optimizer.step()
            loop.scheduler.step()
    assert loop.lrs() == start
    assert [str(warning.message)[:16] for warning in caught] == ["no loss seen yet"]


def test_observe_then_step_is_step_with_the_loss(Loop: Any) -> None:
    loop, other = Loop(), Loop()
    for _ in range(HORIZON):
        loss = other.loss()
        other.optimizer.step()
        other.scheduler.observe(loss)
        other.scheduler.step()
        assert loop.step() == other.lrs()


def test_parts_of_a_batch_count_as_their_mean(Loop: Any) -> None:
    whole, parts = Loop(), Loop()
    for k in range(HORIZON):
        loss = 1.0 + 1 / (k + 1)
        for share in (0.5, 1.5):
            parts.scheduler.observe(share * loss)
        for loop in (whole, parts):
            loop.loss()
            loop.optimizer.step()
        whole.scheduler.step(loss)
        parts.scheduler.step()
        assert parts.lrs() == pytest.approx(whole.lrs(), rel=1e-9)


def test_epoch_is_taken_and_ignored(Loop: Any) -> None:
    loop, other = Loop(), Loop()
    for k in range(9):
        loss = other.loss()
        other.optimizer.step()
        other.scheduler.step(loss, 7 * k)
        assert loop.step() == other.lrs()


@pytest.mark.parametrize(
    "convert",
    [float, np.float32, np.float64, torch.tensor, lambda x: torch.tensor([[x]]), lambda x: torch.tensor(x).half(), int],
    ids=["float", "float32", "float64", "tensor", "matrix", "half", "int"],
)
def test_any_kind_of_number_is_a_loss(Loop: Any, convert: Callable[[float], Any]) -> None:
    loop, other = Loop(), Loop()
    for k in range(9):
        loss = float(16 - k)
        for each, seen in ((loop, convert(loss)), (other, loss)):
            each.loss()
            each.optimizer.step()
            each.scheduler.step(seen)
        assert loop.lrs() == other.lrs()


def test_more_than_one_element_is_refused(Loop: Any) -> None:
    loop = Loop()
    with pytest.raises(ValueError, match="one element"):
        loop.scheduler.observe(torch.ones(2))


def test_the_graph_of_a_loss_is_not_kept_alive(Loop: Any) -> None:
    loop = Loop()
    for _ in range(2):
        loss = loop.loss()
        loop.optimizer.step()
        loop.scheduler.step(loss)
    reference = weakref.ref(loss)
    del loss
    assert reference() is None


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_losses_that_are_not_finite_never_reach_the_lr(OurLoop: Any, bad: float) -> None:
    loop = OurLoop()
    for k in range(HORIZON):
        loop.loss()
        loop.optimizer.step()
        loop.scheduler.step(bad if k % 3 else 1.0)
        assert all(math.isfinite(lr) and lr > 0 for lr in loop.lrs())
    assert loop.scheduler.skipped >= HORIZON // 2
