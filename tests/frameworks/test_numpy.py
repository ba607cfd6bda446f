"""A loop in NumPy with nothing but the plain callable."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from statistics import fmean
from types import ModuleType

import pytest


def test_lrs_are_those_of_the_schedule_and_the_loss_falls(
    example: Callable[[str], ModuleType], schedule_lrs: Callable[..., list[float]]
) -> None:
    module = example("numpy_loop")
    losses, lrs = module.train()
    assert fmean(losses[-20:]) < 0.5 * fmean(losses[:20])
    assert schedule_lrs(losses, 0.1, 300)[:-1] == lrs
    assert "torch" not in inspect.getsource(module)


def test_the_lr_is_what_the_steps_are_made_with(
    example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("numpy_loop")

    class Still:
        lr = 0.0

        def schedule(self, **_: float) -> Still:
            return self

        def __call__(self, _: float) -> float:
            return 0.0

    monkeypatch.setattr(module, "load_policy", lambda _: Still())
    losses, _ = module.train(steps=5)
    assert losses == pytest.approx([2.079442] * 5)  # log 8: the weights stay where they began
