"""GreedyLR against the class of that name in `transformers`, bit for bit; and where it is meant to differ."""

from __future__ import annotations

import inspect
import json
import math
import random
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrpilot.schedulers.greedy import GreedyLR
from tests.lrpilot.schedulers.test_greedy import INF, NAN, TRANSFORMERS, greedy, optimizer_of, trace

theirs = pytest.importorskip("transformers.optimization")


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


@settings(max_examples=400, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_compat_accepts_what_transformers_accepts_however_odd(seed: int) -> None:
    draw = random.Random(seed)
    lrs, arguments, metrics = random_case(draw, 60)
    odd: dict[str, list[Any]] = {
        "factor": [0.0, -0.5, 1e-9, 0.999], "patience": [-1, 1.5, 0.5], "threshold": [-0.1, INF, 1e9],
        "cooldown": [-1, 1.5], "warmup": [-2, 0.5], "eps": [-1.0, INF, 1e9], "reset_start": [0, -3, 1.5],
        "min_lr": [-1.0, 0.0, INF, 5.0], "max_lr": [0.0, -1.0, INF, 1e-9], "smooth": [True, False],
    }  # fmt: skip
    for name in draw.sample(sorted(odd), draw.randint(1, 4)):
        arguments[name] = draw.choice(odd[name])
    ours, reference = both(lrs, arguments)
    for metric in metrics:
        try:
            reference.step(metric)
        except ZeroDivisionError:  # a factor of 0, once it is to rise
            break
        ours.step(metric)
        assert [group["lr"] for group in ours.optimizer.param_groups] == [
            group["lr"] for group in reference.optimizer.param_groups
        ]
