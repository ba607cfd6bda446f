"""The Trainer of transformers: accumulation, its own optimizer, checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
import torch

transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")
pytestmark = pytest.mark.filterwarnings(
    "ignore:horizon=:UserWarning"
)  # runs of fewer steps than decisions, to be quick


@pytest.fixture
def module(example: Callable[[str], ModuleType]) -> ModuleType:
    return example("huggingface_trainer")


def test_the_scheduler_sees_the_loss_of_every_step(module: ModuleType, spies: Any) -> None:
    made = spies(module)
    losses, lrs = module.train(steps=100, use_cpu=True)
    (spy,) = made
    assert [len(step) for step in spy.steps] == 100 * [2]
    assert [fmean(step) for step in spy.steps] == pytest.approx(losses, rel=1e-5)  # as the Trainer logs them
    assert spy.lrs == pytest.approx(spy.replay(), rel=1e-12)
    assert lrs == spy.lrs[:-1]
    assert fmean(losses[-10:]) < 0.8 * fmean(losses[:10])


def test_a_step_of_fewer_batches_at_the_end_of_an_epoch_weighs_the_same(
    module: ModuleType, spies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, characters = module.windows()
    monkeypatch.setattr(module, "windows", lambda: (rows[: 17 * 32], characters))  # 17 batches an epoch
    made = spies(module)
    losses, lrs = module.train(steps=10, gradient_accumulation_steps=4, use_cpu=True)
    (spy,) = made
    assert [len(step) for step in spy.steps] == 2 * [4, 4, 4, 4, 1]
    assert [fmean(step) for step in spy.steps] == pytest.approx(losses, rel=1e-5)
    assert lrs == spy.lrs[:-1]


@pytest.mark.filterwarnings("default:no loss seen yet:UserWarning")
def test_without_the_mixin_a_warning_says_so(module: ModuleType) -> None:
    module.LearnedTrainer = transformers.Trainer
    with pytest.warns(UserWarning, match="no loss seen yet"):
        module.train(steps=3, use_cpu=True)


def test_resumes_with_the_same_lrs(module: ModuleType, spies: Any, tmp_path: Path) -> None:
    made = spies(module)
    saving = {"output_dir": str(tmp_path), "save_strategy": "steps", "save_steps": 15, "use_cpu": True}
    whole = module.train(steps=45, **saving)
    resumed = module.train(steps=45, resume=str(tmp_path / "checkpoint-15"), **saving)
    assert resumed == whole  # the log of the first 15 steps is in the checkpoint
    first, second = made
    assert len(second.steps) == 30
    assert second.lrs[1:] == first.lrs[16:]
    state = torch.load(tmp_path / "checkpoint-15" / "scheduler.pt", weights_only=True)
    assert state["last_epoch"] == 15


def test_the_optimizer_and_horizon_of_the_trainer_do_as_well(module: ModuleType, spies: Any) -> None:
    """Without `optimizers=`: a scheduler made where the Trainer makes its own, on its optimizer with two groups."""
    made = spies(module)

    class Own(module.LearnedTrainer):  # type: ignore[misc, name-defined]
        def __init__(self, *arguments: Any, optimizers: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)

        def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
            self.lr_scheduler = module.LearnedLR(self.optimizer, "universal", horizon=num_training_steps)
            return self.lr_scheduler

    module.LearnedTrainer = Own
    losses, lrs = module.train(steps=20, learning_rate=1e-3, use_cpu=True)
    spy = made[-1]
    assert spy.horizon == len(spy.steps) == 20
    assert len(spy.get_last_lr()) == 2
    assert spy.lrs == pytest.approx(spy.replay(), rel=1e-12)
    assert lrs == spy.lrs[:-1]
    assert [fmean(step) for step in spy.steps] == pytest.approx(losses, rel=1e-5)


TWO = """
import importlib.util, json, math, sys
from lrpilot.schedulers import parameters
parameters.gradient_sq = lambda _: math.nan  # by the losses alone, which the Trainer logs
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
made, real = [], module.LearnedLR
module.LearnedLR = lambda *a, **k: made.append(real(*a, **k)) or made[-1]
losses, lrs = module.train(steps=60, use_cpu=True)
weights = [p.double().sum().item() for p in made[0].optimizer.param_groups[0]["params"]]
print(json.dumps([losses, lrs, weights]))
"""


@pytest.mark.slow
def test_two_real_processes_follow_their_mean_loss(
    example: Callable[[str], ModuleType], schedule_lrs: Callable[..., list[float]], tmp_path: Path
) -> None:
    script = tmp_path / "two.py"
    script.write_text(TWO)
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "--log-dir",
        str(tmp_path),
    ]
    words = [*launch, "--redirects", "1", str(script), example("huggingface_trainer").__file__]
    subprocess.run(words, check=True, capture_output=True)
    first, second = (json.loads(path.read_text()) for path in sorted(tmp_path.rglob("stdout.log")))
    assert first == second
    losses, lrs, _ = first  # the Trainer logs the mean over both
    assert lrs == pytest.approx(schedule_lrs(losses, 1e-3, 60)[:-1], rel=1e-3)
