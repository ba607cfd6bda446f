"""The plain loop: what all frameworks are compared with."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest


@pytest.fixture
def spied(example: Callable[[str], ModuleType], spies: Any) -> Any:
    module = example("plain_pytorch")
    made = spies(module)
    module.train(epochs=4)
    return made[0]


def test_lrs_are_those_of_the_schedule_on_its_losses(plain: tuple[list[float], list[float]], spied: Any) -> None:
    losses, lrs = plain
    assert len(losses) == 4 * 17
    assert fmean(losses[-17:]) < 0.2 * fmean(losses[:17])
    assert len(set(lrs)) == len(lrs)
    assert spied.lrs[:-1] == lrs
    assert [loss for (loss,) in spied.steps] == losses
    assert spied.lrs == pytest.approx(spied.replay(), rel=1e-12)


def test_the_comparison_notices_other_losses(plain: tuple[list[float], list[float]], spied: Any) -> None:
    losses, lrs = plain
    late = [losses[0], *losses[:-1]]  # as if each loss came a step too late
    running = [fmean(losses[k // 17 * 17 : k + 1]) for k in range(68)]  # as if they were means since the epoch began
    for wrong in (late, running):
        assert spied.replay(wrong)[:-1] != pytest.approx(lrs, rel=0.01)


def test_gradients_are_read_on_short_runs(spied: Any, schedule_lrs: Callable[..., list[float]]) -> None:
    assert sum(len(read) > 0 for read in spied.read) > 50
    losses = [loss for (loss,) in spied.steps]
    assert schedule_lrs(losses, 1e-3, 68) != pytest.approx(spied.lrs, rel=0.01)


@pytest.mark.parametrize("guess", [1e-4, 1.0])
def test_an_lr_that_is_wrong_a_hundredfold_still_trains(guess: float, example: Callable[[str], ModuleType]) -> None:
    losses, _ = example("plain_pytorch").train(lr=guess)
    assert fmean(losses[-17:]) < 0.1 * fmean(losses[:17])
