"""Factorisation of a matrix, of the example or of the user, within the bound."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch


@pytest.fixture
def module(example: Callable[[str], ModuleType]) -> ModuleType:
    return example("nmf")


def test_the_loss_falls_and_no_lr_exceeds_the_bound(module: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    bounds: list[float] = []

    class Remembered(module.NMFBound):  # type: ignore[misc, name-defined]
        def __call__(self) -> torch.Tensor:
            bound: torch.Tensor = super().__call__()
            bounds.append(float(bound))
            return bound

    monkeypatch.setattr(module, "NMFBound", Remembered)
    losses, lrs = module.factorise()
    assert fmean(losses[-10:]) < 0.5 * fmean(losses[:10])
    assert len(losses) == len(lrs) == 200
    assert len(bounds) == 201  # one before each step, and one after the last
    assert all(lr <= bound for lr, bound in zip(lrs, bounds[:200], strict=True))
    assert min(lrs) < 0.9 * max(lrs)


def test_a_matrix_of_the_user(module: ModuleType, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.save(tmp_path / "own.npy", rng.random((30, 2)) @ rng.random((2, 60)))
    losses, _ = module.factorise(str(tmp_path / "own.npy"), rank=2)
    assert fmean(losses[-10:]) < 0.1 * fmean(losses[:10])


@pytest.mark.parametrize("wrong", [[1.0, 2.0], [[1.0, -2.0]], [[1.0, np.nan]]])
def test_a_matrix_that_cannot_be_factorised_is_refused(wrong: list[Any], module: ModuleType, tmp_path: Path) -> None:
    np.save(tmp_path / "own.npy", wrong)
    with pytest.raises(ValueError, match=r"own\.npy: must be a matrix of finite numbers, none of them negative"):
        module.factorise(str(tmp_path / "own.npy"))
