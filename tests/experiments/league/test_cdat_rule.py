"""CDAT as a rule against dense derivatives, and the accuracy of its finite difference."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lrpilot.experiments.league.rules.cdat import CDAT, SHAPES, curvature_along
from lrpilot.theory.cdat import cdat_lr
from tests.experiments.league.accesses import Quadratics, random_quadratics

RUNS, SIZE, STEPS = 3, 5, 20
ANY = torch.ones(RUNS, dtype=torch.float64)  # base LRs, which are ignored


def quadratic_form(A: Tensor, u: Tensor) -> Tensor:
    return (u[:, None] @ A @ u[..., None])[:, 0, 0]


class Quartics(Quadratics):
    """f = ¼ (½ wᵀAw)², whose Hessian changes along the way."""

    def gradient_at(self, parameters: Tensor) -> Tensor:
        return self._loss(parameters)[:, None] * super().gradient_at(parameters) / 2


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-2)])
@pytest.mark.parametrize("length", [1e-6, 1.0, 1e6])
def test_curvature_along_an_update_of_any_length(dtype: torch.dtype, tolerance: float, length: float) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    u = length * torch.randn(RUNS, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    access = Quadratics(A.to(dtype), start.to(dtype))
    measured = curvature_along(access, access.draw()[1], u.to(dtype))
    torch.testing.assert_close(measured.double(), quadratic_form(A, u), rtol=tolerance, atol=0)
    curved = Quartics(A.to(dtype), start.to(dtype))
    measured = curvature_along(curved, curved.draw()[1], u.to(dtype))
    gradient, q = (A @ start[..., None])[..., 0], quadratic_form(A, start) / 2
    exact = (q * quadratic_form(A, u) + (gradient * u).sum(1) ** 2) / 2
    torch.testing.assert_close(measured.double(), exact, rtol=tolerance, atol=0)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_steps_are_ratios_of_averages_of_the_exact_derivatives(momentum: float, scale: float) -> None:
    A, start = random_quadratics(RUNS, SIZE)
    access = Quadratics(A, start, momentum=momentum, noise=0.3)
    rule = CDAT(access, scale, decay=0.7)
    w, v = start.clone(), torch.zeros_like(start)
    slopes: list[Tensor] = []
    curvatures: list[Tensor] = []
    for step in range(STEPS):
        rule.step(ANY)
        g = (A @ (w - access.centre)[..., None])[..., 0]
        v = momentum * v + g
        slopes.append((g * v).sum(1).clamp_min(0))
        curvatures.append(quadratic_form(A, v).abs())
        weights = 0.7 ** torch.arange(step, -1, -1, dtype=torch.float64)
        lr = scale * (weights @ torch.stack(slopes)) / (weights @ torch.stack(curvatures))
        torch.testing.assert_close(rule.lr, lr, rtol=1e-5, atol=0)
        w = w - lr[:, None] * v
        torch.testing.assert_close(access.parameters, w, rtol=1e-4, atol=1e-4)
        w = access.parameters.clone()
    assert rule.passes == access.calls["gradient"] == 2 * STEPS
    assert access.calls["loss"] == 0


def test_the_first_step_is_the_greedy_one_and_the_edge() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    before = quadratic_form(A, start) / 2
    g = (A @ start[..., None])[..., 0]
    for scale, optimizer, u in ((1.0, "sgd", -g), (2.0, "sgd", -g), (2.0, "adamw", -g.sign())):
        access = Quadratics(A, start, optimizer)
        rule = CDAT(access, scale)
        rule.step(ANY)
        torch.testing.assert_close(rule.lr, cdat_lr((g * u).sum(1), quadratic_form(A, u), scale), rtol=1e-5, atol=0)
        after = quadratic_form(A, access.parameters) / 2
        if scale == 2:
            torch.testing.assert_close(after, before, rtol=1e-5, atol=0)  # back to where it was
        else:
            assert (after < before).all()


def test_greedy_steps_descend_and_the_base_lr_plays_no_part() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    one, other = Quadratics(A, start), Quadratics(A, start)
    first, second = CDAT(one, 1.0, decay=0.0), CDAT(other, 1.0, decay=0.0)
    losses = torch.stack([first.step(ANY) for _ in range(STEPS)])
    for _ in range(STEPS):
        second.step(1e-9 * ANY)
    assert (losses.diff(dim=0) < 0).all()
    assert torch.equal(one.parameters, other.parameters)


def test_at_the_minimum_it_stays_and_a_lost_run_touches_no_other() -> None:
    A, start = random_quadratics(RUNS, SIZE)
    start[1], start[2, 0] = 0, torch.nan
    access, alone = Quadratics(A, start), Quadratics(A[:1], start[:1])
    rule, other = CDAT(access), CDAT(alone)
    for _ in range(4):
        rule.step(ANY)
        other.step(ANY[:1])
    assert torch.equal(access.parameters[:1], alone.parameters)
    assert not access.parameters[1].any()
    assert access.parameters[2].isnan().any()


def test_shapes_differ_in_the_scale() -> None:
    rules = [make(Quadratics(*random_quadratics(1, SIZE))) for make in SHAPES.values()]
    assert len({rule.scale for rule in rules if isinstance(rule, CDAT)}) == 3
