"""Parameter groups as people make, share, add, remove and reorder them."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, Optimizer

from lrpilot import GreedyLR, LearnedLR
from lrpilot.schedulers.base import AbstractMetricLR

Maker = Callable[[Optimizer], AbstractMetricLR]
MAKERS: dict[str, Maker] = {
    "universal": lambda optimizer: LearnedLR(optimizer, "universal", horizon=200),
    "bounded": lambda optimizer: LearnedLR(optimizer, "nmf", horizon=200, bound=lambda: 0.05),
    "greedy": lambda optimizer: GreedyLR(optimizer, factor=0.8, patience=0, every=4),
    "absolute": lambda optimizer: GreedyLR(optimizer, factor=0.8, patience=0, bounds="absolute"),
    "compat": lambda optimizer: GreedyLR(optimizer, factor=0.8, patience=0, min_lr=1e-5, compat="transformers"),
}


def weight() -> nn.Parameter:
    return nn.Parameter(torch.ones(4))


def groups(*lrs: Any) -> list[dict[str, Any]]:
    return [{"params": [weight()], "lr": lr} for lr in lrs]


def run(optimizer: Optimizer, scheduler: AbstractMetricLR, count: int) -> list[float]:
    for _ in range(count):
        optimizer.step()
        scheduler.step(1 / (1 + scheduler.last_epoch))
    lrs = [float(group["lr"]) for group in optimizer.param_groups]
    assert [float(lr) for lr in scheduler.get_last_lr()] == lrs
    assert all(math.isfinite(lr) for lr in lrs)
    return lrs


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Maker:
    return MAKERS[request.param]


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_an_lr_may_be_a_tensor_with_one_element_of_any_shape(
    make: Maker, kind: type[Optimizer], shape: tuple[int, ...]
) -> None:
    optimizer, plain = kind([weight()], lr=torch.full(shape, 1e-3)), kind([weight()], lr=1e-3)
    place = optimizer.param_groups[0]["lr"]
    assert run(optimizer, make(optimizer), 30) == pytest.approx(run(plain, make(plain), 30), rel=1e-5)
    assert optimizer.param_groups[0]["lr"] is place
    assert place.shape == shape


@pytest.mark.parametrize("count", [1, 2])
def test_a_tensor_that_groups_share_becomes_one_for_each(make: Maker, count: int) -> None:
    shared = torch.tensor(0.01)
    optimizer = SGD([{"params": [weight()]} for _ in range(count)], lr=shared)
    plain = SGD([{"params": [weight()]} for _ in range(count)], lr=0.01)
    made, other = make(optimizer), make(plain)
    for step in range(3):
        assert run(optimizer, made, 20) == pytest.approx(run(plain, other, 20), rel=1e-5)
        for each in (optimizer, plain):
            each.add_param_group({"params": [weight()], **({"lr": 0.02} if step else {})})
    assert [float(lr) for lr in made.base_lrs] == pytest.approx([0.01] * (count + 1) + [0.02])
    assert optimizer.param_groups[0]["lr"] is shared


@pytest.mark.parametrize("name", ["bounded", "capped", "relaxed", "absolute"])
@pytest.mark.parametrize("added", [0.2, 10.0, 1e6])
def test_a_larger_group_stays_within_the_limits(name: str, added: float) -> None:
    limited: dict[str, tuple[float, Maker]] = {
        "bounded": (0.05, MAKERS["bounded"]),
        "capped": (0.3, lambda o: LearnedLR(o, "universal", horizon=200, lr_max=0.3)),
        "relaxed": (0.1, lambda o: LearnedLR(o, "linear", horizon=200, bound=lambda: 0.05, guard="relaxed")),
        "absolute": (0.4, lambda o: GreedyLR(o, factor=0.5, patience=0, max_lr=0.4, bounds="absolute")),
    }
    highest, make = limited[name]
    optimizer = SGD([weight()], lr=0.1)
    scheduler = make(optimizer)
    run(optimizer, scheduler, 3)
    optimizer.add_param_group({"params": [weight()], "lr": added})
    for _ in range(90):
        small, large = run(optimizer, scheduler, 1)
        assert large <= highest
        assert large / small == pytest.approx(added / 0.1)
    del optimizer.param_groups[1]
    assert 0 < run(optimizer, scheduler, 9)[0] <= highest


def test_groups_keep_their_base_lr_wherever_they_stand(make: Maker) -> None:
    optimizer = SGD(groups(1e-3, 0.1, 0.02))
    scheduler = make(optimizer)
    run(optimizer, scheduler, 40)
    first, second, third = optimizer.param_groups
    changes: list[tuple[list[dict[str, Any]], list[float]]] = [
        ([third, first, second], [0.02, 1e-3, 0.1]),  # reordered
        ([second, third], [0.1, 0.02]),  # removed
        ([second], [0.1]),
        ([third, second, first], [0.02, 0.1, 1e-3]),  # back again
        ([{**second, "params": [weight()]}, first], [0.1, 1e-3]),  # replaced by a copy
    ]
    for members, bases in changes:
        before = {id(group): float(group["lr"]) for group in (first, second, third)}
        optimizer.param_groups[:] = members
        lrs = run(optimizer, scheduler, 1)
        assert scheduler.base_lrs == bases
        if scheduler.state_dict().get("greedy", {}).get("compat") is None:  # there each group has an LR of its own
            ratios = [lr / base for lr, base in zip(lrs, bases, strict=True)]
            assert ratios == pytest.approx([ratios[0]] * len(ratios))
        for group, lr in zip(members, lrs, strict=True):
            if id(group) in before:
                assert 1e-3 <= lr / before[id(group)] < 10  # in compat one that was away begins anew


def test_a_group_that_is_popped_and_made_anew_has_its_own_lr(make: Maker) -> None:
    optimizer = SGD(groups(1e-3, 0.1))
    scheduler = make(optimizer)
    run(optimizer, scheduler, 40)
    popped = optimizer.param_groups.pop(0)
    optimizer.add_param_group({"params": popped["params"], "lr": 1e-3})
    run(optimizer, scheduler, 1)
    assert scheduler.base_lrs == [0.1, 1e-3]


def test_an_optimizer_that_is_loaded_keeps_the_base_lrs(make: Maker) -> None:
    optimizer = SGD(groups(0.01, 0.1))
    saved_before, scheduler = optimizer.state_dict(), make(optimizer)
    run(optimizer, scheduler, 20)
    saved = optimizer.state_dict()
    for state in (saved, saved_before):  # the second knows no base LRs: it was saved before there was a scheduler
        optimizer.load_state_dict(state)
        run(optimizer, scheduler, 5)
        assert scheduler.base_lrs == [0.01, 0.1]


@pytest.mark.parametrize("lr", [None, "0.1", [0.1], torch.ones(2)])
def test_an_lr_that_is_no_number_is_named(make: Maker, lr: Any) -> None:
    optimizer = SGD(groups(0.1, 0.1))
    optimizer.param_groups[1]["lr"] = lr
    with pytest.raises(TypeError, match="lr of parameter group 1 must be a number"):
        make(optimizer)


@pytest.mark.parametrize("lr", [1e-30, 1e6])
def test_extreme_lrs_stay_finite_and_a_group_of_0_stays_there(lr: float) -> None:
    for name in ("universal", "bounded", "greedy"):
        optimizer = SGD(groups(0.0, lr))
        lrs = run(optimizer, MAKERS[name](optimizer), 150)
        assert lrs[0] == 0.0 < lrs[1] < math.inf


def test_a_group_that_comes_after_the_optimizer_was_loaded_leaves_the_others_as_they_were(make: Maker) -> None:
    optimizer = SGD(groups(0.1, 0.01))
    scheduler = make(optimizer)
    before = run(optimizer, scheduler, 20)
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.add_param_group({"params": [weight()], "lr": 0.05})
    after = run(optimizer, scheduler, 1)
    assert scheduler.base_lrs == [0.1, 0.01, 0.05]
    for old, new in zip(before, after[:2], strict=True):
        assert 0.3 < new / old < 3


def test_groups_may_hold_anything(make: Maker) -> None:
    optimizer = SGD([{**groups(0.1)[0], "names": np.array(["a", "b"]), "more": torch.ones(3)}])
    scheduler = make(optimizer)
    run(optimizer, scheduler, 3)
    optimizer.load_state_dict(optimizer.state_dict())
    run(optimizer, scheduler, 3)


@pytest.mark.parametrize("lr", [np.float64(0.1), np.float32(0.1), np.array(0.1), 1])
def test_an_lr_of_another_library_becomes_a_plain_number(make: Maker, lr: Any) -> None:
    optimizer = SGD(groups(0.1))
    optimizer.param_groups[0]["lr"] = lr
    scheduler = make(optimizer)
    run(optimizer, scheduler, 20)
    assert type(optimizer.param_groups[0]["lr"]) is float
    file = io.BytesIO()
    torch.save(scheduler.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True)["last_epoch"] == 20


def test_a_state_of_tensor_lrs_is_loaded_where_lrs_are_numbers_and_back(make: Maker) -> None:
    numbers, tensors = SGD(groups(0.1, 0.02)), SGD(groups(torch.tensor(0.1), torch.tensor(0.02)))
    first, second = make(numbers), make(tensors)
    run(numbers, first, 20), run(tensors, second, 20)
    states = first.state_dict(), second.state_dict()
    first.load_state_dict(states[1])
    second.load_state_dict(states[0])
    run(numbers, first, 5), run(tensors, second, 5)
    assert all(type(group["lr"]) is float for group in numbers.param_groups)
    assert all(isinstance(group["lr"], torch.Tensor) for group in tensors.param_groups)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_an_lr_of_few_digits_does_not_pass_a_limit_by_rounding(dtype: torch.dtype) -> None:
    for limit in (0.001, 0.0007, 1 / 3):
        optimizer = SGD(groups(torch.tensor(0.5, dtype=dtype)))
        scheduler = LearnedLR(optimizer, "nmf", horizon=200, bound=lambda limit=limit: limit)
        for _ in range(30):
            assert run(optimizer, scheduler, 1)[0] <= limit


def test_absolute_bounds_are_not_wound_up_by_a_larger_group() -> None:
    optimizer = SGD(groups(0.1))
    scheduler = GreedyLR(optimizer, factor=0.5, patience=0, max_lr=1.0, bounds="absolute")
    run(optimizer, scheduler, 9)
    optimizer.add_param_group({"params": [weight()], "lr": 1.0})
    before = run(optimizer, scheduler, 1)
    assert before[1] == 1.0
    optimizer.step(), scheduler.step(9.0)
    assert optimizer.param_groups[1]["lr"] < 1.0
