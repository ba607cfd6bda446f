"""pytorch-ignite: an event handler, accumulation, checkpoints, and the wrapper that must not be used."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from lrpilot import LearnedLR

if not find_spec("ignite"):  # pytest.importorskip would import it here, where no filter holds yet
    pytest.skip("pytorch-ignite is not installed", allow_module_level=True)
# ignite imports torch.distributed.optim, which is written with what torch has deprecated.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`torch.jit.* is deprecated:DeprecationWarning:torch"),
    pytest.mark.filterwarnings("ignore:horizon=:UserWarning"),  # runs of fewer steps than decisions, to be quick
]


def trainer(horizon: int, accumulate: int = 1) -> tuple[Any, LearnedLR, torch.nn.Module]:
    from ignite.engine import create_supervised_trainer

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    engine = create_supervised_trainer(
        model, optimizer, torch.nn.functional.mse_loss, gradient_accumulation_steps=accumulate
    )
    return engine, LearnedLR(optimizer, "universal", horizon=horizon), model


def batches() -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = torch.Generator().manual_seed(1)
    return [(torch.randn(8, 4, generator=rng), torch.randn(8, 1, generator=rng)) for _ in range(20)]


def test_it_repeats_the_plain_loop(
    example: Callable[[str], ModuleType], plain: tuple[list[float], list[float]]
) -> None:
    assert example("ignite_engine").train(epochs=4) == plain


def test_accumulation_observes_each_loss_and_steps_with_the_optimizer(spies: Any) -> None:
    from ignite.engine import Events

    made = spies(sys.modules[__name__])
    engine, scheduler, _ = trainer(horizon=60, accumulate=4)
    losses, lrs = [], [scheduler.get_last_lr()[0]]
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: losses.append(engine.state.output))
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda: scheduler.observe(engine.state.output))
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=4), lambda: scheduler.step())
    engine.add_event_handler(Events.ITERATION_COMPLETED(every=4), lambda: lrs.append(scheduler.get_last_lr()[0]))
    engine.run(batches(), max_epochs=12)
    (spy,) = made
    assert [*itertools.chain(*spy.steps)] == losses
    assert [len(step) for step in spy.steps] == 60 * [4]
    assert lrs == pytest.approx(spy.replay(), rel=1e-12)


def test_resumes_from_a_checkpoint_with_the_same_lrs(tmp_path: Path) -> None:
    from ignite.engine import Events
    from ignite.handlers import Checkpoint, DiskSaver

    def run(epochs: int, resume: bool = False) -> list[float]:
        engine, scheduler, model = trainer(horizon=100)
        lrs = []

        @engine.on(Events.ITERATION_COMPLETED)
        def follow() -> None:
            scheduler.step(engine.state.output)
            lrs.append(scheduler.get_last_lr()[0])

        parts = {"trainer": engine, "model": model, "optimizer": scheduler.optimizer, "scheduler": scheduler}
        saver = Checkpoint(parts, DiskSaver(tmp_path, require_empty=False), n_saved=None)
        engine.add_event_handler(Events.EPOCH_COMPLETED, saver)
        if resume:
            Checkpoint.load_objects(parts, torch.load(tmp_path / "checkpoint_40.pt", weights_only=True))
        engine.run(batches(), max_epochs=epochs)
        return lrs

    whole = run(5)
    assert run(5, resume=True) == whole[40:]


def test_the_wrapper_of_ignite_only_reads_so_the_lr_holds_and_one_warning_says_so() -> None:
    from ignite.engine import Events
    from ignite.handlers import LRScheduler

    engine, scheduler, _ = trainer(horizon=20)
    start = scheduler.get_last_lr()
    engine.add_event_handler(Events.ITERATION_STARTED, LRScheduler(scheduler))
    with pytest.warns(UserWarning, match=r"get_lr\(\) was asked .* call scheduler.step\(loss\)") as caught:
        engine.run(batches(), max_epochs=1)
    assert len(caught) == 1
    assert [group["lr"] for group in scheduler.optimizer.param_groups] == start
