"""GreedyLR as a scheduler: resuming, groups, bounds, arguments. Against `transformers`: test_greedy_compat.py."""

from __future__ import annotations

import io
import math
import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, SequentialLR

from lrpilot.control import BACK_OFF
from lrpilot.schedulers.greedy import GreedyLR

NAN, INF = math.nan, math.inf
TRANSFORMERS: dict[str, Any] = {"compat": "transformers"}


def optimizer_of(*lrs: Any) -> torch.optim.Optimizer:
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    optimizer.step()  # torch warns of schedulers that step first
    return optimizer


def greedy(*lrs: Any, **arguments: Any) -> GreedyLR:
    scheduler = GreedyLR(optimizer_of(*lrs), **arguments)
    scheduler.optimizer.step()
    return scheduler


def trace(scheduler: Any, metrics: list[float]) -> list[list[float]]:
    lrs = []
    for metric in metrics:
        scheduler.step(metric)
        lrs.append([group["lr"] for group in scheduler.optimizer.param_groups])
    return lrs


@pytest.mark.parametrize("kind", [{}, {"every": 3}, {"smooth": True, "window_size": 4}, TRANSFORMERS])
@pytest.mark.parametrize("cut", [1, 7, 9, 40])
def test_resumes_bit_for_bit_through_weights_only_loading(kind: dict[str, Any], cut: int) -> None:
    arguments = {"patience": 0, "factor": 0.7, "cooldown": 1, "reset_start": 2, **kind}
    draw = random.Random(cut)
    metrics = [draw.gauss(0, 1) for _ in range(60)]
    expected = trace(greedy(0.1, 0.3, **arguments), metrics)
    first, second = greedy(0.1, 0.3, **arguments), greedy(0.1, 0.3, **arguments)
    trace(first, metrics[:cut])
    buffer = io.BytesIO()
    torch.save(first.state_dict(), buffer)
    buffer.seek(0)
    second.load_state_dict(torch.load(buffer, weights_only=True))
    assert trace(second, metrics[cut:]) == expected[cut:]


def test_a_state_of_another_kind_is_refused() -> None:
    scheduler = greedy(0.1)
    with pytest.raises(ValueError, match="compat"):
        scheduler.load_state_dict(greedy(0.1, **TRANSFORMERS).state_dict())
    state = scheduler.state_dict()
    del state["greedy"]
    with pytest.raises(ValueError, match="no state of a Greedy"):
        scheduler.load_state_dict(state)


@given(seed=st.integers(0, 2**63), every=st.integers(2, 5))
@settings(max_examples=50, deadline=None)
def test_losses_between_decisions_count_as_their_mean(seed: int, every: int) -> None:
    draw = random.Random(seed)
    losses = [[draw.gauss(0, 1) for _ in range(every)] for _ in range(15)]
    arguments: dict[str, Any] = {"patience": 0, "factor": 0.7}
    seldom = trace(greedy(0.1, every=every, **arguments), [loss for part in losses for loss in part])
    means = trace(greedy(0.1, **arguments), [sum(part) / every for part in losses])
    assert seldom == [[0.1]] * (every - 1) + [lrs for lrs in means for _ in range(every)][: 1 - every]


def test_one_nan_between_decisions_halves_the_lr_and_is_counted() -> None:
    scheduler = greedy(0.1, every=2)
    assert trace(scheduler, [NAN, 1.0, 1.0, 1.0]) == [[0.1], [0.1 * BACK_OFF], [0.1 * BACK_OFF], [0.1 * BACK_OFF]]
    assert scheduler.skipped == 1


def test_steps_without_a_metric_decide_nothing() -> None:
    arguments: dict[str, Any] = {"patience": 0, "factor": 0.5, "every": 2}
    scheduler = greedy(0.1, **arguments)
    scheduler.observe(3.0)
    for _ in range(6):
        scheduler.step()
    assert scheduler.get_last_lr() == [0.2]
    with pytest.warns(UserWarning, match="no loss seen yet"):
        trace(greedy(0.1), [None])  # type: ignore[list-item]


@pytest.mark.filterwarnings("ignore:10 losses in a row:UserWarning")
@given(seed=st.integers(0, 2**63))
@settings(max_examples=100, deadline=None)
def test_groups_keep_their_ratio_and_the_lr_its_bounds(seed: int) -> None:
    draw = random.Random(seed)
    bases = [10 ** draw.uniform(-5, 1) for _ in range(3)]
    largest = max(bases)
    low, high = draw.uniform(0.01, 1), draw.uniform(1, 10)
    arguments = {"patience": 0, "factor": draw.uniform(0.1, 0.9)}
    metrics = [draw.choice([draw.gauss(0, 1), NAN, INF]) for _ in range(30)]
    relative = trace(greedy(*bases, **arguments, min_lr=low, max_lr=high), metrics)
    assert all(lrs == pytest.approx([base * lrs[0] / bases[0] for base in bases]) for lrs in relative)
    assert all(low * (1 - 1e-9) <= max(lrs) / largest <= high * (1 + 1e-9) for lrs in relative)
    bounds = {"min_lr": low * largest, "max_lr": high * largest, "bounds": "absolute"}
    absolute = trace(greedy(*bases, **arguments, **bounds, eps=1e-8 * largest), metrics)
    assert [lr for lrs in absolute for lr in lrs] == pytest.approx([lr for lrs in relative for lr in lrs])


def test_default_bounds_are_a_hundredth_and_ten_times_the_lr() -> None:
    for bounds in (None, "relative", "absolute"):
        moves: dict[str, Any] = {"patience": 0, "factor": 0.1, "bounds": bounds, "eps": 0}
        assert trace(greedy(5e-5, **moves), [3.0, 2.0, 1.0])[-1] == pytest.approx([5e-4])
        assert trace(greedy(5e-5, **moves), [3.0, *[9.0] * 5])[-1] == pytest.approx([5e-7])


def test_nothing_that_stands_in_the_optimizer_has_an_effect() -> None:
    for compat in (None, "transformers"):
        scheduler = greedy(0.1, patience=0, factor=0.5, compat=compat)
        scheduler.optimizer.param_groups[0]["lr"] = NAN
        assert trace(scheduler, [3.0]) == [[0.2]]
        assert scheduler.get_lr() == scheduler.get_lr() == [0.2]


def test_it_is_an_lr_scheduler_and_can_follow_another() -> None:
    optimizer = optimizer_of(0.1)
    after = GreedyLR(optimizer, patience=0, factor=0.5)
    assert isinstance(after, LRScheduler)
    sequence = SequentialLR(optimizer, [ConstantLR(optimizer, 0.1, total_iters=5), after], milestones=[3])
    lrs = []
    for t in range(5):
        optimizer.step()
        after.observe(9.0 - t)
        sequence.step()
        lrs.append(optimizer.param_groups[0]["lr"])
    assert lrs == pytest.approx([0.01, 0.01, 0.1, 0.2, 0.4])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 2.0}, "factor must be above 0 and below 1, not 2.0"),
        ({"every": 0}, "every must be at least 1, and 1 with compat, not 0"),
        ({"every": 2, **TRANSFORMERS}, "every must be at least 1, and 1 with compat, not 2"),
        ({"bounds": "log"}, "bounds must be relative or absolute, not 'log'"),
        ({"bounds": "relative", **TRANSFORMERS}, "bounds must be absolute with compat, not 'relative'"),
        ({"compat": "torch"}, "compat must be None or transformers, not 'torch'"),
        ({"min_lr": 1.5}, "0 <= min_lr <= start <= max_lr < inf with a start above 0, here 1.0, not 1.5 and 10.0"),
        ({"min_lr": 0.2, "bounds": "absolute"}, "here 0.1, not 0.2 and 1.0"),
        ({"max_lr": [1.0, 2.0]}, r"max_lr must be one number, or 1 in a list, not \[1.0, 2.0\]"),
        ({"min_lr": [0.1], **TRANSFORMERS}, r"min_lr must be one number, or 2 in a list, not \[0.1\]"),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        greedy(0.1, 0.01, **arguments)
    with pytest.raises(TypeError, match="is not an Optimizer"):
        GreedyLR([torch.zeros(1)])  # type: ignore[arg-type]


def test_verbose_tells_each_change_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = GreedyLR(optimizer, factor=0.5, patience=1, verbose=True)
    for loss in (3.0, 2.0, 1.0, 1.0, 1.0):
        optimizer.step()
        scheduler.step(loss)
    assert capsys.readouterr().out == "step 2: LRs 2.0000e-01\nstep 5: LRs 1.0000e-01\n"


@pytest.mark.parametrize("more", [{"every": 10}, {"every": 1}, {"every": 3, "smooth": True, "window_size": 4}], ids=str)
@pytest.mark.parametrize("factor", [0.1, 10.0, 1000.0])
def test_losses_on_a_new_scale_hardly_change_the_lr(factor: float, more: dict[str, Any]) -> None:
    traces = []
    for change in (1.0, factor):
        optimizer = optimizer_of(0.1)
        scheduler = GreedyLR(optimizer, factor=0.8, patience=1, **more)
        lrs, rng = [], random.Random(0)
        for k in range(400):
            optimizer.step()
            scheduler.step((change if k >= 200 else 1.0) * math.exp(0.05 * rng.gauss(0, 1)) / (1 + k / 40))
            lrs.append(scheduler.get_last_lr()[0])
        traces.append(lrs)
    ten = 200 + 11 * more["every"]
    ratios = [b / a for a, b in zip(*traces, strict=True)][ten:]
    assert 1 / 3 <= min(ratios) <= max(ratios) <= 3
