"""Calls as loops, wrappers, compilers and closures make them, and arguments as people give them."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import LBFGS, SGD, Adam, Optimizer

from lrpilot import GreedyLR, LearnedLR, load_policy
from lrpilot.schedulers.base import AbstractMetricLR


def optimizer(lr: Any = 0.1) -> SGD:
    return SGD([nn.Parameter(torch.ones(4))], lr=lr)


def messages(run: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run()
    assert {Path(warning.filename).name for warning in caught} <= {Path(__file__).name}
    return [str(warning.message) for warning in caught]


def test_an_interval_of_an_epoch_is_warned_of_once_and_nothing_piles_up() -> None:
    made = optimizer()
    scheduler = LearnedLR(made, "universal", horizon=400)

    def epochs() -> None:
        for _ in range(4):
            for _ in range(100):
                made.step()
                scheduler.observe(1.0)
            scheduler.step()

    (message,) = messages(epochs)
    assert message.startswith("the optimizer made 3 steps since scheduler.step was called last")
    assert "interval='step'" in message
    assert len(scheduler.state_dict()["losses"]["steps"]) == 0


@pytest.mark.parametrize("micro", [1, 2, 300])
def test_parts_of_a_batch_are_no_reason_to_warn(micro: int) -> None:
    made = optimizer()
    scheduler = LearnedLR(made, "universal", horizon=60)
    for _ in range(20):
        for _ in range(micro):
            scheduler.observe(torch.tensor(1.0))
        made.step()
        scheduler.step()


def test_epochs_as_steps_are_no_reason_to_warn() -> None:
    made = optimizer()
    schedulers: list[AbstractMetricLR] = [LearnedLR(made, "universal", horizon=60), GreedyLR(made)]
    for epoch in range(20):
        for _ in range(10):
            made.step()
        for scheduler in schedulers:
            scheduler.step(1 / (1 + epoch))


def test_lrs_asked_for_from_outside_are_warned_of_once() -> None:
    made = optimizer()
    scheduler = LearnedLR(made, "universal", horizon=60)

    def wrapper() -> None:
        for _ in range(50):
            made.step()
            scheduler.observe(1.0)
            made.param_groups[0]["lr"] = scheduler.get_lr()[0]
            scheduler.last_epoch += 1

    found = messages(wrapper)
    assert [message[:9] for message in found] == ["get_lr() ", "the optim"]
    assert "call scheduler.step(loss) after each optimizer.step() yourself" in found[0]


@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # dynamo looks at it
@pytest.mark.parametrize("name", ["universal", "nmf", "greedy"])
@pytest.mark.parametrize("way", ["step", "observe"])
def test_inside_a_compiled_function_it_runs_outside_the_graph(name: str, way: str) -> None:
    makers: dict[str, Callable[[Optimizer], AbstractMetricLR]] = {
        "universal": lambda made: LearnedLR(made, "universal", horizon=80),
        "nmf": lambda made: LearnedLR(made, "nmf", horizon=80, bound=lambda: 0.02),
        "greedy": lambda made: GreedyLR(made, factor=0.8, patience=0),
    }
    torch.compiler.reset()
    traces = []
    for compiled in (False, True):
        parameter = nn.Parameter(torch.ones(4))
        made = Adam([parameter], lr=torch.tensor(1e-2))
        scheduler, trace = makers[name](made), []

        def both(loss: torch.Tensor, made: Any = made, scheduler: Any = scheduler) -> None:
            made.step()
            if way == "observe":
                scheduler.observe(loss)
            scheduler.step(loss if way == "step" else None)

        step = torch.compile(both, backend="eager") if compiled else both
        for k in range(60):
            made.zero_grad()
            loss = (parameter - k % 3).square().mean()
            loss.backward()
            step(loss)
            trace.append(float(made.param_groups[0]["lr"]))
        traces.append(trace)
    assert traces[0] == pytest.approx(traces[1], rel=1e-4)  # Adam's own steps differ in the last bits
    assert len(set(traces[1])) > 5


@pytest.mark.parametrize("lr", [0.1, 1.0])
def test_lbfgs_keeps_to_its_lr_as_the_highest_and_converges(lr: float) -> None:
    for seed in range(5):
        finals = []
        for scheduled in (False, True):
            torch.manual_seed(seed)
            model = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 1))
            x = torch.randn(64, 3)
            y = torch.sin(x).sum(1, keepdim=True)
            made = LBFGS(model.parameters(), lr=lr, max_iter=5)
            scheduler = LearnedLR(made, "universal", horizon=60) if scheduled else None

            def closure(made: Any = made, model: Any = model, x: Any = x, y: Any = y) -> torch.Tensor:
                made.zero_grad()
                loss = (model(x) - y).square().mean()
                loss.backward()
                return loss

            for _ in range(30):
                loss = made.step(closure)  # type: ignore[arg-type]
                if scheduler is not None:
                    scheduler.step(loss)
                    assert made.param_groups[0]["lr"] <= lr
            finals.append(closure().item())
        assert math.isfinite(finals[1])
        assert finals[1] < max(2 * finals[0], 0.05)
    assert LearnedLR(made, "universal", horizon=60, lr_max=3.0)._schedule.limits.lr_max == 3.0  # if one wants to


ARGUMENTS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"horizon": "100"}, TypeError, "horizon must be a number, not '100'"),
    ({"horizon": 1.5}, ValueError, "horizon must be a whole number of steps, at least 1, not 1.5"),
    ({"horizon": True}, TypeError, "horizon must be a number, not True"),
    ({"horizon": [100]}, TypeError, "horizon must be a number, not [100]"),
    ({"warmup": 1000}, ValueError, "warmup must be less than the horizon, 200 steps, not 1000"),
    ({"warmup": 200}, ValueError, "warmup must be less than the horizon, 200 steps, not 200"),
    ({"warmup": 0.1}, ValueError, "warmup must be a whole number of steps, at least 0, not 0.1"),
    ({"warmup": "10"}, TypeError, "warmup must be a number, not '10'"),
    ({"warmup": None}, TypeError, "warmup must be a number, not None"),
    ({"lr_min": "1e-5"}, TypeError, "lr_min must be a number, not '1e-5'"),
    ({"lr_max": math.nan}, ValueError, "lr_max must be None or an LR, at least 0, not nan"),
    ({"lr_min": -1}, ValueError, "lr_min must be None or an LR, at least 0, not -1"),
    ({"lr_min": 2.0, "lr_max": 1.0}, ValueError, "lr_min must be in 0..lr_max, here 1.0, not 2.0"),
    ({"guard": None}, ValueError, "guard must be one of strict, relaxed, off, not None"),
    ({"bound": 0.5}, TypeError, "bound must be None, or a callable that returns the largest stable LR, not 0.5"),
    ({"bound": lambda: "x"}, TypeError, "bound() must be a number, not 'x'"),
    ({"policy": None}, TypeError, "policy must be a name or a path, not None"),
    ({"policy": 5}, TypeError, "policy must be a name or a path, not 5"),
    ({"last_epoch": "3"}, TypeError, "last_epoch must be a number, not '3'"),
    ({"last_epoch": -2}, ValueError, "last_epoch must be a whole number of steps, at least -1, not -2"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), ARGUMENTS, ids=lambda value: str(value)[:30])
def test_what_is_wrong_with_an_argument_is_said_in_one_line(
    arguments: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as error:
        LearnedLR(optimizer(), **{"policy": "universal", "horizon": 200, **arguments})
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": "x"}, "factor must be a number, not 'x'"),
        ({"patience": None}, "patience must be a number, not None"),
        ({"every": "2"}, "every must be a number, not '2'"),
        ({"min_lr": "a"}, "min_lr must be a number, not 'a'"),
        ({"max_lr": ["a"]}, "max_lr must be a number, not 'a'"),
        ({"smooth": "no"}, "smooth must be True or False, not 'no'"),
    ],
)
def test_what_is_wrong_with_greedys_arguments_too(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        GreedyLR(optimizer(), **arguments)
    with pytest.raises(ValueError, match=r"every must be a whole number of steps, at least 1, not 1\.5"):
        GreedyLR(optimizer(), every=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("loss", "kind"),
    [
        ("1.0", TypeError), ([1.0], TypeError), (1j, TypeError), ({"loss": 1.0}, TypeError), (object(), TypeError),
        (torch.tensor(1j), TypeError), (torch.ones(2), ValueError), (torch.zeros(0), ValueError),
        (np.ones(2), ValueError), (torch.ones((), device="meta"), ValueError),
    ],
    ids=lambda value: repr(value)[:20],
)  # fmt: skip
def test_a_loss_that_is_none_is_refused_and_leaves_no_trace(loss: Any, kind: type[Exception]) -> None:
    for made in (optimizer(), optimizer()):
        for scheduler in (LearnedLR(made, "universal", horizon=60), GreedyLR(made)):
            made.step(), scheduler.step(1.0)
            before = repr(scheduler.state_dict())
            for give in (scheduler.observe, scheduler.step):
                with pytest.raises(kind, match="loss must"):
                    give(loss)
            assert repr(scheduler.state_dict()) == before
    schedule = load_policy("universal").schedule(0.1, 60)
    with pytest.raises(kind, match=r"loss must|meta"):
        schedule(loss)


@pytest.mark.parametrize("loss", [True, 10**400, -(10**400), np.float16(1), np.ones((1, 1)), torch.tensor([[3]])])
def test_any_number_is_a_loss(loss: Any) -> None:
    made = optimizer()
    scheduler = LearnedLR(made, "universal", horizon=60)
    for _ in range(5):
        made.step()
        scheduler.step(loss)
    assert all(math.isfinite(lr) for lr in scheduler.get_last_lr())


def test_a_policy_of_bounds_without_one_is_warned_of_once() -> None:
    made = optimizer()

    def run() -> None:
        scheduler = LearnedLR(made, "nmf", horizon=60)
        for _ in range(65):
            made.step()
            scheduler.step(1.0)

    first, second = messages(run)
    assert first.startswith("this policy chooses fractions of a stability bound, and was given none")
    assert second.startswith("step 61 of a run of horizon=60")


def test_greedys_metric_may_be_rescaled() -> None:
    traces = []
    for factor in (1.0, 1000.0):
        made = optimizer()
        scheduler, trace = GreedyLR(made, factor=0.8, patience=1, every=3, smooth=True, window_size=4), []
        for k in range(120):
            if k == 61:
                scheduler.rescale_loss(factor)
            made.step()
            scheduler.step((factor if k >= 61 else 1.0) * (2 + math.cos(k)))
            trace.append(scheduler.get_last_lr()[0])
        traces.append(trace)
    assert traces[0] == traces[1]


ENVIRONMENTS = """
if __name__ == "__main__":
    from functools import partial
    import gymnasium
    worker = partial(gymnasium.make, "lrpilot.envs:lrpilot/NMF-v0")
    environments = gymnasium.vector.AsyncVectorEnv([worker] * 2, context="spawn")
    print(environments.reset(seed=0)[0].shape[0])
    environments.close()
"""


def test_an_environment_is_made_in_a_spawned_worker_that_imported_nothing(tmp_path: Path) -> None:
    pytest.importorskip("gymnasium")
    (tmp_path / "main.py").write_text(ENVIRONMENTS)
    run = subprocess.run([sys.executable, tmp_path / "main.py"], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "2"


@pytest.mark.parametrize("name", ["universal", "cnn", "nlp"])
def test_it_listens_to_the_end_as_the_plain_schedule_does(name: str) -> None:
    made = optimizer()
    scheduler, plain = LearnedLR(made, name, horizon=1000), load_policy(name).schedule(0.1, 1000)
    for step in range(1, 1000):
        loss = 2.0 if step < 990 else 50.0 if step == 990 else math.nan
        made.step()
        scheduler.step(loss)
        plain(loss)
        assert scheduler.get_last_lr()[0] == pytest.approx(plain.lr, rel=1e-12)
    assert scheduler.skipped == plain.skipped == 9


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda value: LearnedLR(optimizer(), "universal", horizon=value), "horizon"),
        (lambda value: LearnedLR(optimizer(), "universal", horizon=60, warmup=value), "warmup"),
        (lambda value: LearnedLR(optimizer(), "universal", horizon=60, lr_max=value), "lr_max"),
        (lambda value: LearnedLR(optimizer(), "universal", horizon=60, guard=value), "guard"),
        (lambda value: LearnedLR(optimizer(), value, horizon=60), "policy"),
        (lambda value: GreedyLR(optimizer(), factor=value), "factor"),
        (lambda value: GreedyLR(optimizer(), mode=value), "mode"),
        (lambda value: GreedyLR(optimizer(), every=value), "every"),
        (lambda value: GreedyLR(optimizer(), bounds=value), "bounds"),
        (lambda value: GreedyLR(optimizer(), compat=value), "compat"),
        (lambda value: GreedyLR(optimizer(), verbose=value), "verbose"),
        (lambda value: LearnedLR(optimizer(), "universal", horizon=60).rescale_loss(value), "factor"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [10**400, torch.tensor(5, device="meta"), np.ones((3, 3)), torch.ones(4, 4), [1], {}, b"1", "x" * 5000, 1j],
    ids=lambda value: repr(value)[:12],
)
def test_nonsense_is_named_in_one_line(make: Callable[[Any], object], name: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)) as error:
        make(value)
    assert name in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 250
