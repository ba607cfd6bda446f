"""accelerate: prepared schedulers, accumulation, several processes, checkpoints."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import fmean
from types import ModuleType
from typing import Any

import pytest
import torch

from lrpilot import LearnedLR

accelerate = pytest.importorskip("accelerate")


@pytest.fixture(autouse=True)
def fresh_state() -> Iterator[None]:
    """Accelerate keeps its state in singletons."""
    yield
    from accelerate.state import AcceleratorState, GradientState

    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()


def test_it_repeats_the_plain_loop(
    example: Callable[[str], ModuleType], plain: tuple[list[float], list[float]]
) -> None:
    assert example("accelerate_loop").train(epochs=4, cpu=True) == plain


def test_accumulation_makes_one_step_of_several_losses(example: Callable[[str], ModuleType], spies: Any) -> None:
    module = example("accelerate_loop")
    made = spies(module)
    losses, lrs = module.train(epochs=20, accumulate=4, cpu=True)
    (spy,) = made
    assert [len(step) for step in spy.steps] == 20 * [4, 4, 4, 4, 1]  # 17 batches an epoch
    assert [*itertools.chain(*spy.steps)] == losses
    assert len(spy.steps) == spy.horizon
    assert spy.lrs == pytest.approx(spy.replay(), rel=1e-12)
    assert lrs == [lr for lr, step in zip(spy.lrs, spy.steps, strict=False) for _ in step]
    assert fmean(losses[-17:]) < 0.5 * fmean(losses[:17])


@pytest.mark.filterwarnings("ignore:step .* of a run of horizon:UserWarning")
def test_when_stepped_twice_each_step_counts_twice_and_decides_on_one_loss(
    example: Callable[[str], ModuleType], spies: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Two:
        num_processes = 2

    monkeypatch.setattr("accelerate.scheduler.AcceleratorState", Two)
    module = example("accelerate_loop")
    made = spies(module)
    module.train(epochs=8, cpu=True)
    (spy,) = made
    assert [len(step) for step in spy.steps] == 8 * 17 * [1, 0]
    assert spy.last_epoch == 2 * spy.horizon
    assert len({*spy.lrs[spy.horizon :]}) == 1  # past the horizon the LR holds
    ratios = {round(b / a, 3) for a, b in itertools.pairwise(spy.lrs[1 : spy.horizon : 2])}
    assert len(ratios) > 10  # decisions go on although every second step saw no loss


def test_a_saved_state_resumes_with_the_same_lrs(tmp_path: Path) -> None:
    def run(first: int, last: int, load: bool = False) -> list[float]:
        torch.manual_seed(0)
        accelerator = accelerate.Accelerator(cpu=True)
        model = torch.nn.Linear(4, 1)
        x, y = torch.randn(32, 4), torch.randn(32, 1)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
        scheduler = LearnedLR(optimizer, "universal", horizon=120)
        model, optimizer, scheduler = accelerator.prepare(model, optimizer, scheduler)
        if load:
            accelerator.load_state(str(tmp_path))
        lrs = []
        for _ in range(first, last):
            loss = (model(x) - y).square().mean()
            accelerator.backward(loss)
            optimizer.step()
            scheduler.scheduler.observe(loss)
            scheduler.step()
            optimizer.zero_grad()
            lrs.append(scheduler.get_last_lr()[0])
        if last == 51:
            accelerator.save_state(str(tmp_path))
        return lrs

    whole = run(0, 120)
    assert run(0, 51) == whole[:51]
    assert run(51, 120, load=True) == whole[51:]
    assert run(51, 120) != whole[51:]


TWO = """
import json, importlib.util, sys
spec = importlib.util.spec_from_file_location("example", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
made, real = [], module.LearnedLR
module.LearnedLR = lambda *a, **k: made.append((real(*a, **k), k["horizon"])) or made[-1][0]
losses, lrs = module.train(epochs=16, accumulate=int(sys.argv[2]), cpu=True)
(scheduler, horizon), = made
weights = [p.double().sum().item() for p in scheduler.optimizer.param_groups[0]["params"]]
print(json.dumps([losses, lrs, weights, scheduler.last_epoch, horizon]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_two_real_processes_stay_together(
    accumulate: int, example: Callable[[str], ModuleType], tmp_path: Path
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
    words = [*launch, "--redirects", "1", str(script), example("accelerate_loop").__file__, str(accumulate)]
    subprocess.run(words, check=True, capture_output=True)
    first, second = (json.loads(path.read_text()) for path in sorted(tmp_path.rglob("stdout.log")))
    assert first[0] != second[0]  # each has losses of its own
    assert first[1:] == second[1:]  # and the LRs and weights of both
    losses, lrs, _, calls, horizon = first
    assert calls == horizon
    assert len({*lrs}) > 60
    assert fmean(losses[-9:]) < 0.5 * fmean(losses[:9])
