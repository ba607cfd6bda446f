"""The line search against a search of one run in plain numbers, and what Armijo's condition is on quadratics."""

from __future__ import annotations

from math import ceil, inf, log

import pytest
import torch
from torch import Tensor

from lrpilot.experiments.league.rules.base import FORWARD
from lrpilot.experiments.league.rules.line_search import SHAPES, LineSearch
from tests.experiments.league.accesses import Quadratics, random_quadratics

RUNS, SIZE, STEPS = 4, 5, 12
BASE = torch.tensor([0.05, 0.5, 5.0, 50.0], dtype=torch.float64)


def reference(A: Tensor, start: Tensor, base_lr: float, rule: LineSearch) -> tuple[Tensor, list[float], list[int]]:
    """One run of SGD with line search, as the paper tells it: where it ends, LRs, and LRs tried in each search."""
    w, lr, lrs, counts = start.clone(), base_lr, [], []
    for step in range(STEPS):
        g = A @ w
        lr = base_lr if step == 0 else min(rule.growth * lr, base_lr)
        tried = 1
        while (w - lr * g) @ A @ (w - lr * g) / 2 > w @ A @ w / 2 - rule.c * lr * g @ g:
            lr *= rule.shrink
            tried += 1
        w = w - lr * g
        lrs.append(lr)
        counts.append(tried)
    return w, lrs, counts


@pytest.mark.parametrize("growth", [1.0, 1.3, 2.0, inf])
def test_many_runs_are_searches_of_one(growth: float) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    access = Quadratics(A, start)
    rule = LineSearch(access, growth, most=100)
    lrs, passes = [], []
    for _ in range(STEPS):
        rule.step(BASE)
        lrs.append(rule.lr)
        passes.append(rule.passes)
    tried = torch.zeros(STEPS, dtype=torch.float64)
    for run in range(RUNS):
        w, expected, counts = reference(A[run], start[run], float(BASE[run]), rule)
        torch.testing.assert_close(torch.stack(lrs)[:, run], torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(access.parameters[run], w)
        tried += torch.tensor(counts) / RUNS
    assert (tried % 1 != 0).any()  # some runs still search when others have found
    torch.testing.assert_close(torch.tensor(passes, dtype=torch.float64), (1 + FORWARD * tried).cumsum(0))


def test_on_a_quadratic_the_lr_is_the_first_below_armijos_bound() -> None:
    A, start = random_quadratics(RUNS, SIZE, seed=2)
    g = (A @ start[..., None])[..., 0]
    bound = 2 * (1 - 0.1) * (g * g).sum(1) / (g[:, None] @ A @ g[..., None])[:, 0, 0]
    rule = LineSearch(Quadratics(A, start), c=0.1, shrink=0.7)
    rule.step(BASE)
    backtracks = [max(0, ceil(log(ratio) / log(0.7))) for ratio in (bound / BASE).tolist()]
    assert len(set(backtracks)) == 3
    torch.testing.assert_close(rule.lr, BASE * 0.7 ** torch.tensor(backtracks))


def test_it_descends_where_the_base_lr_itself_explodes() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    searched, plain = Quadratics(A, start), Quadratics(A, start)
    rule = LineSearch(searched, most=40)
    losses = torch.stack([rule.step(1e3 * BASE) for _ in range(60)])
    for _ in range(60):
        plain.optimizer.step(plain.parameters, plain.draw()[1], 1e3 * BASE)
    assert (losses.diff(dim=0) <= 0).all()
    assert (losses[-1] < 1e-2 * losses[0]).all()
    assert not (plain.draw()[0] < 1e9 * losses[0]).any()


@pytest.mark.parametrize("optimizer", ["sgd", "nesterov", "adamw", "rmsprop"])
def test_momentum_is_dropped(optimizer: str) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    heavy, light = (Quadratics(A, start, optimizer, momentum=momentum, noise=1.0) for momentum in (0.9, 0.0))
    rules = LineSearch(heavy), LineSearch(light)
    for _ in range(STEPS):
        for rule in rules:
            rule.step(BASE)
    assert torch.equal(heavy.parameters, light.parameters)
    assert not torch.equal(heavy.parameters, start)


def test_no_step_uphill() -> None:
    A, start = torch.eye(2, dtype=torch.float64).expand(16, 2, 2), torch.ones(16, 2, dtype=torch.float64)
    access = Quadratics(A, start, "adamw", weight_decay=100.0, noise=5.0)  # the decay alone gives the direction
    rule = LineSearch(access)
    rule.step(torch.full((16,), 1e-3, dtype=torch.float64))
    uphill = ((start - access.centre) * (start - access.centre).sign().add(100.0)).sum(1) <= 0
    assert 0 < uphill.sum() < 16
    stayed = (access.parameters == start).all(1)
    assert torch.equal(stayed, uphill)
    assert torch.equal(rule.lr == 0, uphill)


def test_no_step_where_nothing_tried_is_accepted_and_the_next_search_goes_on_below() -> None:
    A, start = random_quadratics(1, SIZE)
    rule = LineSearch(Quadratics(A, start), growth=1.0, shrink=0.5, most=3)
    rule.step(torch.tensor([1e4], dtype=torch.float64))
    assert rule.lr == 0
    assert torch.equal(rule.access.parameters, start)
    assert rule.passes == pytest.approx(1 + 3 * FORWARD)
    for _ in range(6):
        rule.step(torch.tensor([1e4], dtype=torch.float64))
    assert rule.lr > 0


def test_the_base_lr_is_a_ceiling_that_may_move_and_be_zero() -> None:
    rule = LineSearch(Quadratics(*random_quadratics(1, SIZE)))
    lrs = []
    for base in (0.0, 1e-3, 1e-2, 1e-4, 0.0, 1e-4):
        rule.step(torch.tensor([base], dtype=torch.float64))
        lrs.append(float(rule.lr))
    assert lrs == pytest.approx([0.0, 1e-3, 2e-3, 1e-4, 0.0, 1e-4])


def test_a_lost_run_touches_no_other_and_searches_nothing() -> None:
    A, start = random_quadratics(2, SIZE)
    start[1, 0] = torch.nan
    access, alone = Quadratics(A, start), Quadratics(A[:1], start[:1])
    rule, other = LineSearch(access), LineSearch(alone)
    for _ in range(4):
        rule.step(BASE[2:])
        other.step(BASE[2:3])
    assert torch.equal(access.parameters[:1], alone.parameters)
    assert access.parameters[1].isnan().any()
    assert rule.passes - 4 == pytest.approx((other.passes - 4) / 2)


def test_shapes_are_three_ways_to_begin_a_search() -> None:
    rules = [make(Quadratics(*random_quadratics(1, SIZE))) for make in SHAPES.values()]
    assert len({rule.growth for rule in rules if isinstance(rule, LineSearch)}) == 3
