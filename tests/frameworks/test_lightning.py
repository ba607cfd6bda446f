"""Lightning: automatic and manual optimisation, accumulation, `reduce_on_plateau`, checkpoints."""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

pytest.importorskip("lightning")
pytestmark = [
    # Lightning looks into batches with what torch.utils._pytree has deprecated.
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning:lightning"),
    pytest.mark.filterwarnings("ignore:horizon=:UserWarning"),  # runs of fewer steps than decisions, to be quick
    # A Trainer that resumes finds the checkpoint that it is given.
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty:UserWarning"),
]

Trace = tuple[list[float], list[float]]


@pytest.fixture
def module(example: Callable[[str], ModuleType]) -> ModuleType:
    made = example("lightning_module")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    return made


def test_it_repeats_the_plain_loop(module: ModuleType, plain: Trace) -> None:
    assert module.train(epochs=4, accelerator="cpu") == plain


def test_accumulation_makes_one_step_of_several_losses(module: ModuleType, spies: Any) -> None:
    made = spies(module)
    losses, lrs = module.train(epochs=20, accelerator="cpu", accumulate_grad_batches=4)
    (spy,) = made
    assert [len(step) for step in spy.steps] == 20 * [4, 4, 4, 4, 1]  # 17 batches an epoch
    assert [*itertools.chain(*spy.steps)] == losses
    assert len(spy.steps) == spy.horizon
    assert spy.lrs == pytest.approx(spy.replay(), rel=1e-12)
    assert lrs == [lr for lr, step in zip(spy.lrs, spy.steps, strict=False) for _ in step]
    assert fmean(losses[-17:]) < 0.5 * fmean(losses[:17])


def plateau(module: ModuleType) -> type[Any]:
    class Plateau(module.Classifier):  # type: ignore[misc, name-defined]
        """Lets Lightning hand over the loss; `monitor` without `reduce_on_plateau` would be ignored."""

        def configure_optimizers(self) -> dict[str, Any]:
            configured: dict[str, Any] = super().configure_optimizers()
            configured["lr_scheduler"] |= {"reduce_on_plateau": True, "monitor": "loss"}
            return configured

        def training_step(self, batch: list[Tensor], _: int) -> Tensor:
            loss = cross_entropy(self.network(batch[0]), batch[1])
            self.log("loss", loss)
            self.losses.append(loss.item())
            self.lrs.append(self.lr_schedulers().get_last_lr()[0])
            return loss

    return Plateau


def manual(module: ModuleType) -> type[Any]:
    class Manual(module.Classifier):  # type: ignore[misc, name-defined]
        """Does everything itself."""

        automatic_optimization = False

        def training_step(self, batch: list[Tensor], _: int) -> None:
            optimizer, scheduler = self.optimizers(), self.lr_schedulers()
            self.lrs.append(scheduler.get_last_lr()[0])
            optimizer.zero_grad()
            loss = cross_entropy(self.network(batch[0]), batch[1])
            self.manual_backward(loss)
            optimizer.step()
            scheduler.step(loss)
            self.losses.append(loss.item())

    return Manual


@pytest.mark.parametrize("other", [plateau, manual])
def test_other_ways_repeat_the_plain_loop(
    other: Callable[[ModuleType], type[Any]], module: ModuleType, plain: Trace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "Classifier", other(module))
    assert module.train(epochs=4, accelerator="cpu") == plain


def test_resumes_with_the_same_lrs(module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lightning.pytorch.callbacks import ModelCheckpoint

    def in_order(data: Any, batch_size: int, **_: Any) -> DataLoader[Any]:  # Lightning does not restore generators
        return DataLoader(data, batch_size)

    def train(resume: str | None = None) -> Trace:
        keep = ModelCheckpoint(tmp_path, filename="{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
        options = {"accelerator": "cpu", "enable_checkpointing": True, "callbacks": [keep]}
        result: Trace = module.train(epochs=4, resume=resume, **options)
        return result

    monkeypatch.setattr(module, "DataLoader", in_order)
    losses, lrs = train()
    assert train(str(tmp_path / "epoch=1.ckpt")) == (losses[34:], lrs[34:])


@pytest.mark.parametrize(("other", "behind"), [(None, 0), (plateau, 1)])
def test_a_checkpoint_within_an_epoch_holds_all_steps_but_under_reduce_on_plateau(
    other: Callable[[ModuleType], type[Any]] | None,
    behind: int,
    module: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Lightning saves before it steps `reduce_on_plateau` schedulers: why the example calls `observe`."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    if other:
        monkeypatch.setattr(module, "Classifier", other(module))
    keep = ModelCheckpoint(tmp_path, filename="{step}", every_n_train_steps=10, save_top_k=-1)
    module.train(epochs=2, accelerator="cpu", enable_checkpointing=True, callbacks=[keep])
    saved = torch.load(tmp_path / "step=20.ckpt", weights_only=True)
    assert saved["lr_schedulers"][0]["last_epoch"] == saved["global_step"] - behind


def test_an_interval_of_an_epoch_is_warned_of_once(module: ModuleType) -> None:
    class Epochs(module.Classifier):  # type: ignore[misc, name-defined]
        """Leaves the interval out: Lightning's default is an epoch."""

        def configure_optimizers(self) -> Any:
            configured = super().configure_optimizers()
            return {**configured, "lr_scheduler": configured["lr_scheduler"]["scheduler"]}

    module.Classifier, kept = Epochs, module.Classifier
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            module.train(epochs=3, accelerator="cpu")
    finally:
        module.Classifier = kept
    (message,) = [str(warning.message) for warning in caught if "scheduler.step" in str(warning.message)]
    assert "call it once after each optimizer.step() (Lightning: interval='step')" in message
