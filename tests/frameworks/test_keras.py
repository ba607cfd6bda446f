"""Keras 3 on torch: the plain callable in a callback."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
from torch import Tensor

if not find_spec("keras"):  # pytest.importorskip would import it before the backend is set
    pytest.skip("keras is not installed", allow_module_level=True)

BATCHES = 17  # an epoch; the last holds 32 samples, the others 64


@pytest.fixture
def module(example: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    loaded = example("keras_callback")
    if loaded.keras.backend.backend() != "torch":
        pytest.skip("keras was imported with another backend")
    return loaded


def test_it_sees_the_loss_of_each_batch_and_sets_the_lr_of_the_next(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, schedule_lrs: Callable[..., list[float]]
) -> None:
    keras = module.keras
    true_losses, true_lrs = [], []

    class Loss(keras.losses.SparseCategoricalCrossentropy):  # type: ignore[misc, name-defined]
        def __call__(self, *arguments: Any, **options: Any) -> Tensor:
            loss: Tensor = super().__call__(*arguments, **options)
            true_losses.append(loss.item())
            return loss

    class Adam(keras.optimizers.Adam):  # type: ignore[misc, name-defined]
        def apply(self, *arguments: Any, **options: Any) -> None:
            true_lrs.append(float(self.learning_rate))
            super().apply(*arguments, **options)

    monkeypatch.setattr(keras.losses, "SparseCategoricalCrossentropy", Loss)
    monkeypatch.setattr(keras.optimizers, "Adam", Adam)
    losses, lrs = module.train(epochs=4)
    true_losses, true_lrs = true_losses[-4 * BATCHES :], true_lrs[-4 * BATCHES :]  # Keras may try out the model first
    whole = [k for k in range(4 * BATCHES) if (k + 1) % BATCHES]
    assert [losses[k] for k in whole] == pytest.approx([true_losses[k] for k in whole], abs=1e-4)
    assert lrs == pytest.approx(true_lrs, rel=1e-6)
    assert lrs == pytest.approx(schedule_lrs(losses, 1e-3, 4 * BATCHES)[:-1], rel=1e-6)  # Keras keeps float32
    assert fmean(losses[-BATCHES:]) < 0.5 * fmean(losses[:BATCHES])
