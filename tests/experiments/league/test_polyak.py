"""Polyak's step against the rule in plain numbers, and on parabolas, where it is known."""

from __future__ import annotations

from math import inf

import pytest
import torch
from torch import Tensor

from lrpilot.experiments.league.rules.polyak import SHAPES, Polyak
from tests.experiments.league.accesses import Quadratics, random_quadratics

RUNS, SIZE, STEPS = 4, 5, 15
BASE = torch.tensor([0.05, 0.5, 5.0, 50.0], dtype=torch.float64)


def reference(A: Tensor, start: Tensor, base_lr: float, c: float, growth: float) -> tuple[Tensor, list[float]]:
    """One run of SGD with SPS_max, as the paper tells it."""
    w, lrs = start.clone(), [inf]
    for _ in range(STEPS):
        g, f = A @ w, float(w @ A @ w) / 2
        lrs.append(min(f / (c * float(g @ g)), growth * lrs[-1], base_lr))
        w = w - lrs[-1] * g
    return w, lrs[1:]


@pytest.mark.parametrize("c", [0.5, 1.0])
@pytest.mark.parametrize("growth", [1.05, inf])
def test_many_runs_are_the_rule_for_one(c: float, growth: float) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    access = Quadratics(A, start)
    rule = Polyak(access, c, growth)
    lrs = []
    for _ in range(STEPS):
        rule.step(BASE)
        lrs.append(rule.lr)
    for run in range(RUNS):
        w, expected = reference(A[run], start[run], float(BASE[run]), c, growth)
        torch.testing.assert_close(torch.stack(lrs)[:, run], torch.tensor(expected, dtype=torch.float64))
        torch.testing.assert_close(access.parameters[run], w)
    assert (rule.lr[2:] < BASE[2:]).all()
    assert rule.passes == access.calls["gradient"] == STEPS
    assert access.calls["loss"] == 0


def test_on_a_parabola_half_is_the_minimiser_and_one_goes_half_the_way() -> None:
    for c, left in ((0.5, 0.0), (1.0, 0.5)):
        access = Quadratics(torch.tensor([[[3.0]], [[0.2]]]), torch.ones(2, 1))
        Polyak(access, c).step(torch.full((2,), 1e6))
        torch.testing.assert_close(access.parameters, torch.full((2, 1), left))


def test_along_an_adaptive_direction_the_tangent_reaches_zero() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    access = Quadratics(A, start, "adamw")
    rule = Polyak(access, c=1.0)
    losses = rule.step(torch.full((RUNS,), inf, dtype=torch.float64))
    g = (A @ start[..., None])[..., 0]
    torch.testing.assert_close(rule.lr, losses / g.abs().sum(1))  # Adam's first step goes along the sign
    torch.testing.assert_close(losses + (g * (access.parameters - start)).sum(1), torch.zeros_like(losses))


def test_momentum_is_dropped() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    heavy, light = (Quadratics(A, start, momentum=momentum, noise=1.0) for momentum in (0.9, 0.0))
    rules = Polyak(heavy), Polyak(light)
    for _ in range(STEPS):
        for rule in rules:
            rule.step(BASE)
    assert torch.equal(heavy.parameters, light.parameters)
    assert not torch.equal(heavy.parameters, start)


def test_no_step_uphill() -> None:
    A, start = torch.eye(2, dtype=torch.float64).expand(16, 2, 2), torch.ones(16, 2, dtype=torch.float64)
    access = Quadratics(A, start, "adamw", weight_decay=100.0, noise=5.0)
    rule = Polyak(access)
    rule.step(torch.full((16,), 1e-3, dtype=torch.float64))
    uphill = ((start - access.centre) * (start - access.centre).sign().add(100.0)).sum(1) <= 0
    assert 0 < uphill.sum() < 16
    assert torch.equal((access.parameters == start).all(1), uphill)
    assert torch.equal(rule.lr == 0, uphill)


def test_at_the_minimum_it_stays_and_a_lost_run_touches_no_other() -> None:
    A, start = random_quadratics(3, SIZE)
    start[1], start[2, 0] = 0, torch.nan
    access, alone = Quadratics(A, start), Quadratics(A[:1], start[:1])
    rule, other = Polyak(access, growth=1.05), Polyak(alone, growth=1.05)
    for _ in range(4):
        rule.step(BASE[:3])
        other.step(BASE[:1])
    assert torch.equal(access.parameters[:1], alone.parameters)
    assert not access.parameters[1].any()
    assert access.parameters[2].isnan().any()


def test_smoothing_survives_a_base_lr_of_zero() -> None:
    rule = Polyak(Quadratics(*random_quadratics(1, SIZE)), growth=2.0)
    lrs = []
    for base in (0.0, 1e-3, 1e-2, 0.0, 1e-2):
        rule.step(torch.tensor([base], dtype=torch.float64))
        lrs.append(float(rule.lr))
    assert lrs == pytest.approx([0.0, 1e-3, 2e-3, 0.0, 4e-3])


def test_shapes_are_three_settings() -> None:
    rules = [make(Quadratics(*random_quadratics(1, SIZE))) for make in SHAPES.values()]
    assert len({(rule.c, rule.growth) for rule in rules if isinstance(rule, Polyak)}) == 3
