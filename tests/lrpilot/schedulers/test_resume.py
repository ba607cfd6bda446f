"""Runs that are resumed: by another process, with other arguments, for another horizon, on another device."""

from __future__ import annotations

import copy
import io
import json
import math
import pickle
from itertools import pairwise
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Optimizer

from lrpilot import GreedyLR, LearnedLR, load_policy
from lrpilot.schedulers.base import AbstractMetricLR


def made(lr: float = 0.1, horizon: int = 200, policy: str = "universal", **more: Any) -> tuple[Optimizer, LearnedLR]:
    optimizer = SGD(
        [{"params": [nn.Parameter(torch.ones(4))]}, {"params": [nn.Parameter(torch.ones(2))], "lr": lr / 4}], lr=lr
    )
    return optimizer, LearnedLR(optimizer, policy, horizon=horizon, **more)


def run(optimizer: Optimizer, scheduler: AbstractMetricLR, count: int) -> list[list[float]]:
    trace = []
    for _ in range(count):
        optimizer.step()
        scheduler.step(1 / (1 + scheduler.last_epoch))
        trace.append([float(group["lr"]) for group in optimizer.param_groups])
    return trace


@pytest.mark.parametrize("policy", ["universal", "cnn", "nmf"])
@pytest.mark.parametrize(
    ("cut", "first", "second"), [(200, 200, 400), (150, 200, 2000), (37, 200, 100), (90, 1000, 100)]
)
def test_another_horizon_goes_on_from_the_lr_and_decides_for_the_new_length(
    policy: str, cut: int, first: int, second: int
) -> None:
    more = {"bound": lambda: 0.1} if policy == "nmf" else {}
    optimizer, scheduler = made(horizon=first, policy=policy, **more)
    before = run(optimizer, scheduler, cut)[-1]
    again, resumed = made(horizon=second, policy=policy, **more)
    again.load_state_dict(optimizer.state_dict())
    resumed.load_state_dict(scheduler.state_dict())
    assert resumed.get_last_lr() == [group["lr"] for group in again.param_groups] == pytest.approx(before, rel=0.02)
    after = run(again, resumed, second - cut)
    assert 1 / 5 < after[0][0] / before[0] < 5  # a decision may come at once
    constant = policy == "nmf"  # its LR changes at decisions alone
    assert len({lrs[0] for lrs in after}) > (1 if constant and second == 100 else 5)
    multiples = [lrs[0] / (1 if constant else 1 - (cut + k) / second) for k, lrs in enumerate(after[:-2])]
    changes = sum(not math.isclose(a, b, rel_tol=1e-3) for a, b in pairwise(multiples))
    assert changes >= (second - cut) / second * resumed._schedule.control.decisions / 4


@pytest.mark.parametrize(
    "other",
    [{"lr": 1e-3}, {"lr": 10.0}, {"lr_max": 0.02}, {"lr_min": 0.5}, {"guard": "off"}, {"warmup": 50}],
    ids=str,
)
@pytest.mark.parametrize("load_optimizer", [True, False])
@pytest.mark.parametrize("first", [{}, {"warmup": 80, "lr_max": 0.05, "lr_min": 1e-3}])
def test_what_a_run_was_made_with_is_the_states(
    first: dict[str, Any], load_optimizer: bool, other: dict[str, Any]
) -> None:
    bound = {"policy": "linear", "bound": lambda: 0.08} if "guard" in other else {}
    optimizer, scheduler = made(**bound, **first)
    run(optimizer, scheduler, 50)
    again, resumed = made(**bound, **other)
    file = io.BytesIO()
    torch.save((optimizer.state_dict(), scheduler.state_dict()), file)
    file.seek(0)
    states = torch.load(file, weights_only=True)
    if load_optimizer:
        again.load_state_dict(states[0])
    resumed.load_state_dict(states[1])
    assert [float(group["lr"]) for group in again.param_groups] == resumed.get_last_lr() == scheduler.get_last_lr()
    assert run(again, resumed, 150) == run(optimizer, scheduler, 150)
    assert resumed.base_lrs == scheduler.base_lrs


@pytest.mark.parametrize("bound", [None, lambda: 0.1])
@pytest.mark.filterwarnings("ignore:this policy chooses fractions:UserWarning")
def test_a_bound_that_only_one_run_has_is_refused_by_name(bound: Any) -> None:
    _, scheduler = made(policy="nmf", bound=bound)
    _, other = made(policy="nmf", bound=None if bound else lambda: 0.1)
    before = repr(other.state_dict())
    with pytest.raises(ValueError, match=r"bound must be (given|None), as it was in the run"):
        other.load_state_dict(scheduler.state_dict())
    assert repr(other.state_dict()) == before


def test_greedys_arguments_are_the_states() -> None:
    def greedy(lr: float, **more: Any) -> tuple[Optimizer, GreedyLR]:
        optimizer = SGD([nn.Parameter(torch.ones(4))], lr=lr)
        return optimizer, GreedyLR(optimizer, **more)

    for first in (
        {},
        {"bounds": "absolute", "factor": 0.5, "every": 3},
        {"smooth": True, "window_size": 3, "patience": 0},
    ):
        optimizer, scheduler = greedy(0.1, **first)
        run(optimizer, scheduler, 40)
        again, resumed = greedy(0.001, factor=0.99, every=2, cooldown=4)
        resumed.load_state_dict(scheduler.state_dict())
        assert run(again, resumed, 60) == run(optimizer, scheduler, 60)


@pytest.mark.parametrize("cut", [1, 20, 150, 199])
def test_last_epoch_goes_on_from_the_lr_in_the_optimizer(cut: int) -> None:
    for more in ({}, {"warmup": 30}):
        optimizer, scheduler = made(**more)
        before = run(optimizer, scheduler, cut)[-1]
        again, _ = made()
        again.load_state_dict(optimizer.state_dict())
        resumed = LearnedLR(again, "universal", horizon=200, last_epoch=cut - 1, **more)
        assert [group["lr"] for group in again.param_groups] == pytest.approx(before)
        assert resumed.last_epoch == cut
        after = run(again, resumed, 200 - cut)
        assert 1 / 5 < after[0][0] / before[0] < 5  # a decision may come at once
        assert len({lrs[0] for lrs in after}) >= len(after) - 1
    optimizer = SGD([nn.Parameter(torch.ones(4))], lr=0.1)
    run(optimizer, GreedyLR(optimizer, factor=0.5, patience=0), 3)
    assert GreedyLR(optimizer, factor=0.5, last_epoch=2).get_last_lr() == [pytest.approx(0.8)]
    with pytest.raises(KeyError, match=r"initial_lr is missing in parameter group 0: last_epoch=7 .* load_state_dict"):
        LearnedLR(SGD([nn.Parameter(torch.ones(4))], lr=0.1), "universal", horizon=200, last_epoch=7)


def test_a_state_from_another_device_is_loaded_or_says_what_is_missing() -> None:
    _, scheduler = made(policy="cnn")
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    for device in ("cpu", torch.device("cpu"), {"cpu": "cpu"}):
        file.seek(0)
        made(policy="cnn")[1].load_state_dict(torch.load(file, map_location=device, weights_only=True))
    file.seek(0)
    with pytest.raises(ValueError, match="is on the meta device and has no values; load with map_location='cpu'"):
        made(policy="cnn")[1].load_state_dict(torch.load(file, map_location="meta"))


@pytest.mark.parametrize(
    "broken",
    [
        None, 5, [], {}, {"schedule": {}}, {"schedule": None}, {"losses": None}, {"losses": {"steps": 3}},
        {"base_lrs": None}, {"base_lrs": ["a", 1]}, {"travel": None}, {"last_epoch": "x"}, {"policy": None},
        {"_last_lr": None}, {"warned": 3},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_that_does_not_fit_is_a_value_error_and_changes_nothing(broken: Any) -> None:
    optimizer, scheduler = made()
    run(optimizer, scheduler, 20)
    before = copy.deepcopy(scheduler.state_dict()), [dict(group) for group in optimizer.param_groups]
    state = {**before[0], **broken} if isinstance(broken, dict) and broken else broken
    with pytest.raises(ValueError, match=r"state|policy"):
        scheduler.load_state_dict(state)
    assert repr(scheduler.state_dict()) == repr(before[0])
    assert [group["lr"] for group in optimizer.param_groups] == [group["lr"] for group in before[1]]


def test_numpy_numbers_as_arguments_are_plain_in_the_state() -> None:
    optimizer = SGD([nn.Parameter(torch.ones(4))], lr=0.1)
    small = {"warmup": np.int64(3), "lr_min": np.float32(1e-6), "lr_max": torch.tensor(1.0)}
    settings = {"factor": np.float64(0.8), "cooldown": np.int64(2), "patience": np.int8(1), "smooth": np.bool_(True)}
    schedulers: list[AbstractMetricLR] = [
        LearnedLR(optimizer, "universal", horizon=np.int64(100), **small),
        GreedyLR(optimizer, every=np.int32(2), min_lr=np.float32(0.5), max_lr=[np.float64(2.0)], **settings),
    ]
    for scheduler in schedulers:
        run(optimizer, scheduler, 30)
        file = io.BytesIO()
        torch.save(scheduler.state_dict(), file)
        file.seek(0)
        assert torch.load(file, weights_only=True)["last_epoch"] == 30
    schedule = load_policy("nmf").schedule(np.float32(0.1), np.int16(100), bound=lambda: np.float32(0.1))
    schedule(np.float64(2.0))
    assert json.loads(json.dumps(schedule.state())) == schedule.state()


def _go_on(schedule: Any) -> list[float]:
    return [schedule(1 / (1 + k)) for k in range(20)]


@pytest.mark.parametrize("policy", ["nmf", "universal"])
def test_a_schedule_is_pickled_copied_and_sent_to_a_spawned_process(policy: str) -> None:
    schedule = load_policy(policy).schedule(base_lr=0.1, horizon=100)
    _go_on(schedule)
    copies = [copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))]
    with get_context("spawn").Pool(1) as pool:
        there = pool.apply(_go_on, (copies[1],))
    assert there == _go_on(copies[0]) == _go_on(schedule)


def test_a_longer_horizon_goes_on_where_the_policys_range_ends() -> None:
    def falling(scheduler: LearnedLR, made_by: Optimizer, count: int) -> float:
        for _ in range(count):
            made_by.step()
            k = scheduler.last_epoch
            scheduler.step(3 * math.exp(-k / 80) + 0.05 * math.sin(1.7 * k) + 0.06)
        return scheduler.get_last_lr()[0]

    optimizer, scheduler = made(horizon=100, policy="linear", bound=lambda: 0.1)
    before = falling(scheduler, optimizer, 100)
    for horizon in (1000, 100_000):
        again, resumed = made(horizon=horizon, policy="linear", bound=lambda: 0.1)
        resumed.load_state_dict(scheduler.state_dict())
        assert resumed.get_last_lr()[0] == before
        assert falling(resumed, again, 1) == pytest.approx(before, rel=0.02)


def test_a_copy_of_a_schedule_shares_nothing() -> None:
    schedule = load_policy("universal").schedule(0.1, 300)
    for k in range(33):
        schedule(2 - 0.01 * k)
    kept, other = copy.deepcopy(schedule), copy.copy(schedule)
    for _ in range(40):
        other(9.0)
    assert [schedule(2.0) for _ in range(60)] == [kept(2.0) for _ in range(60)]
