"""GreedyLR against the class of that name in `transformers`, bit for bit; and where it is meant to differ."""

from __future__ import annotations

import inspect
import io
import json
import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, SequentialLR

from lrpilot.clipping import BACK_OFF
from lrpilot.greedy import GreedyLR

theirs = pytest.importorskip("transformers.optimization")
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


def random_case(draw: random.Random, steps: int) -> tuple[list[float], dict[str, Any], list[float]]:
    """LRs of one to three groups, arguments, and metrics that walk, tie, jump and change their sign."""
    lrs = [10 ** draw.uniform(-5, 1) for _ in range(draw.randint(1, 3))]
    lows, highs = ([lr * 10 ** draw.uniform(*span) for lr in lrs] for span in ((-2, 0.5), (0.6, 2)))
    arguments: dict[str, Any] = {
        "mode": draw.choice(["min", "max"]),
        "factor": draw.choice([0.3, 0.5, 0.9, draw.uniform(0.1, 0.99)]),
        "patience": draw.choice([0, 0, 1, 2, 5]),
        "threshold": draw.choice([0.0, 1e-6, 0.01, 0.5]),
        "threshold_mode": draw.choice(["abs", "rel"]),
        "cooldown": draw.choice([0, 0, 1, 3]),
        "warmup": draw.choice([0, 0, 1, 3]),
        "eps": draw.choice([0.0, 1e-8, 1e-3]),
        "smooth": draw.random() < 0.5,
        "window_size": draw.choice([1, 2, 3, 10]),
        "reset_start": draw.choice([1, 2, 3, 500]),
    }
    arguments |= draw.choice([{}, {"min_lr": min(lows), "max_lr": max(highs)}, {"min_lr": lows, "max_lr": highs}])
    drift, noise = draw.choice([-0.1, 0.0, 0.1]), draw.choice([0.0, 0.01, 1.0])
    metrics = [draw.choice([0.0, 3.0]) + drift * t + noise * round(draw.gauss(0, 1), 1) for t in range(steps)]
    return lrs, arguments, metrics


def both(lrs: list[float], arguments: dict[str, Any]) -> tuple[GreedyLR, Any]:
    return greedy(*lrs, **arguments, **TRANSFORMERS), theirs.GreedyLR(optimizer_of(*lrs), **arguments)


def test_compat_gives_the_lrs_of_transformers_bit_for_bit() -> None:
    seen: Counter[str] = Counter()

    @settings(max_examples=1200, deadline=None)
    @given(seed=st.integers(0, 2**63))
    def check(seed: int) -> None:
        lrs, arguments, metrics = random_case(random.Random(seed), 60)
        ours, reference = both(lrs, arguments)
        before = lrs
        for metric in metrics:
            ours.step(metric)
            reference.step(metric)
            after = [group["lr"] for group in reference.optimizer.param_groups]
            assert [group["lr"] for group in ours.optimizer.param_groups] == ours.get_last_lr() == after
            seen["reset"] += abs(reference.best) == INF
            seen["rose"] += after > before
            seen["fell"] += after < before
            before = after
        seen["several groups"] += len(lrs) > 1
        seen["lists"] += isinstance(arguments.get("min_lr"), list)

    check()
    assert min(seen[what] for what in ("reset", "rose", "fell", "several groups", "lists")) > 100


def test_a_compat_that_is_off_by_one_rounding_would_be_noticed() -> None:
    lrs, arguments, metrics = [0.1], {"patience": 0, "factor": 0.9}, [3.0, 2.0, 5.0, 5.0]
    ours, reference = both(lrs, arguments)
    assert trace(ours, metrics) == trace(reference, metrics)
    wrong, reference = both(lrs, arguments | {"factor": math.nextafter(0.9, 1)})[0], both(lrs, arguments)[1]
    assert trace(wrong, metrics) != trace(reference, metrics)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_compat_does_with_nan_what_transformers_does(seed: int) -> None:
    draw = random.Random(seed)
    lrs, arguments, metrics = random_case(draw, 60)
    for _ in range(draw.randint(1, 4)):
        metrics[draw.randrange(60)] = draw.choice([NAN, NAN, INF, -INF])
    ours, reference = both(lrs, arguments)
    assert trace(ours, metrics) == trace(reference, metrics)


def test_default_arguments_are_those_of_transformers_but_for_bounds() -> None:
    here, there = (inspect.signature(kind).parameters for kind in (GreedyLR, theirs.GreedyLR))
    shared = set(here) & set(there) - {"optimizer", "min_lr", "max_lr"}
    assert list(here)[: len(there)] == list(there)
    assert {name: here[name].default for name in shared} == {name: there[name].default for name in shared}
    defaults = {name: parameter.default for name, parameter in here.items() if name != "optimizer"}
    assert json.loads(json.dumps(defaults)) == defaults
    ours, reference = both([0.1, 2.0], {"patience": 0, "factor": 0.5})
    assert trace(ours, [9.0] * 12) == trace(reference, [9.0] * 12)


def test_one_nan_poisons_the_mean_there_and_not_here() -> None:
    arguments: dict[str, Any] = {"smooth": True, "window_size": 3, "patience": 0, "factor": 0.5}
    metrics = [5.0, NAN, *[4.0 - t for t in range(8)]]
    reference = theirs.GreedyLR(optimizer_of(0.1), **arguments)
    assert trace(reference, metrics)[-1] == [1e-3]  # fell to the floor while the metric improved
    scheduler = greedy(0.1, **arguments)
    assert trace(scheduler, metrics)[-1] == pytest.approx([1.0])  # rose to the ceiling
    assert scheduler.skipped == 1


def test_an_lr_of_5e_5_can_only_rise_there_and_moves_both_ways_here() -> None:
    arguments: dict[str, Any] = {"patience": 0, "factor": 0.5}
    worse, better = [1.0, 9.0, 9.0, 9.0, 9.0], [5.0, 4.0, 3.0]
    assert trace(theirs.GreedyLR(optimizer_of(5e-5), **arguments), worse) == [[1e-4]] * 5
    assert trace(theirs.GreedyLR(optimizer_of(5e-5), **arguments), better)[-1] == [4e-4]
    assert trace(greedy(5e-5, **arguments), worse)[-1] == pytest.approx([5e-5 / 8])
    assert trace(greedy(5e-5, **arguments), better)[-1] == pytest.approx([4e-4])


def test_a_tensor_lr_becomes_a_float_there_and_stays_itself_here() -> None:
    assert type(trace(theirs.GreedyLR(optimizer_of(torch.tensor(0.1)), patience=0), [3.0])[0][0]) is float
    for compat in (None, "transformers"):
        scheduler = greedy(torch.tensor(0.125), patience=0, factor=0.5, compat=compat)
        lr = scheduler.optimizer.param_groups[0]["lr"]
        assert [float(lrs[0]) for lrs in trace(scheduler, [3.0, 2.0])] == [0.5, 0.5]  # one tensor, in both entries
        assert scheduler.optimizer.param_groups[0]["lr"] is lr


def test_a_group_added_later_is_an_error_there_and_scheduled_here() -> None:
    def add(scheduler: Any) -> None:
        scheduler.step(3.0)
        scheduler.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.02})

    arguments: dict[str, Any] = {"patience": 0, "factor": 0.5}
    reference = theirs.GreedyLR(optimizer_of(0.1), **arguments)
    add(reference)
    with pytest.raises(IndexError):
        reference.step(2.0)
    scheduler = greedy(0.1, **arguments)
    add(scheduler)
    assert trace(scheduler, [2.0, 9.0])[-1] == [0.2, 0.04]  # the same multiple of its own LR
    scheduler = greedy(0.1, **arguments, max_lr=[0.35], **TRANSFORMERS)
    add(scheduler)
    assert trace(scheduler, [2.0, 1.0, 0.0, -1.0]) == [[0.35, 0.02], [0.35, 0.04], [0.35, 0.08], [0.35, 0.16]]
    again = greedy(0.1, **arguments, max_lr=[0.35], **TRANSFORMERS)
    again.optimizer.add_param_group({"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.02})
    again.load_state_dict(scheduler.state_dict())
    assert trace(again, [-2.0, -3.0, 9.0]) == [[0.35, 0.32], [0.35, 0.35], [0.175, 0.175]]


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
