"""The stability frontier lies at the bound; a wrong bound is found out."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lrpilot.experiments.frontier import (
    RADIUS,
    STEPS,
    Family,
    exact_factorisations,
    frontier,
    leaves,
    linearised_networks,
)
from lrpilot.theory.dense import nmf_hessian

SIDES = (0.98, 1.02)


def check_frontier(families: list[Family]) -> None:
    """None of 200 or more instances leaves at .98 of the bound; at least 95 % do at 1.02."""
    assert sum(len(family.bound) for family in families) >= 200
    below, above = frontier(families, SIDES)
    assert below == 0
    assert above >= 0.95


@pytest.mark.parametrize("along_top", [True, False])
def test_balanced_factorisations_leave_just_above_the_bound(along_top: bool) -> None:
    check_frontier(exact_factorisations(200, along_top))


def test_linearised_networks_leave_just_above_the_bound() -> None:
    check_frontier([linearised_networks(200)])


@pytest.mark.parametrize("error", [1 / 1.05, 1.05])
def test_a_wrong_bound_fails_the_same_check(error: float) -> None:
    families = [replace(family, bound=error * family.bound) for family in exact_factorisations(200, along_top=True)]
    with pytest.raises(AssertionError):
        check_frontier(families)


def quadratics(count: int) -> Family:
    """f = ½xᵀAx from a point along the top eigenvector: 2/λ_max is exact."""
    eigenvalues = 0.1 + torch.rand(count, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    top = (eigenvalues == eigenvalues.amax(1, keepdim=True)).double()

    def step(x: Tensor, lr: Tensor) -> Tensor:
        return x - lr[..., None] * eigenvalues * x

    return Family(torch.zeros_like(top), top, 2 / eigenvalues.amax(1), step)


def test_any_family_with_a_step_has_a_frontier() -> None:
    check_frontier([quadratics(200)])
    assert leaves(quadratics(3), [1.02], steps=10)[0].sum() == 0  # 1.04¹⁰ is inside the radius


def test_runs_that_overflow_have_left() -> None:
    left, x = leaves(quadratics(3), [1e200], steps=5)
    assert left.all()
    assert not x.isfinite().all(-1).any()


def families_of_both_kinds() -> list[Family]:
    return [family for scale in (1.0, 3.0) for family in exact_factorisations(8, along_top=True, imbalance=scale)]


def test_minima_are_exact_and_the_start_is_the_dense_top_eigenvector() -> None:
    for family, (m, n, r) in zip(families_of_both_kinds()[:3], ((4, 6, 1), (5, 7, 2), (8, 8, 2)), strict=True):
        W, H = family.minimum[0, : m * r].reshape(m, r), family.minimum[0, m * r :].reshape(r, n)
        torch.testing.assert_close(W.mT @ W, H @ H.mT)
        values, vectors = torch.linalg.eigh(nmf_hessian(W, H, W @ H))
        direction = (family.start - family.minimum)[0]
        overlap = (direction / direction.norm() @ vectors[:, values >= values[-1] * (1 - 1e-9)]).norm()
        assert float(overlap) == pytest.approx(1, abs=1e-9)
        assert float(family.bound[0] * values[-1]) == pytest.approx(2)


def test_no_entry_can_reach_zero_inside_the_radius() -> None:
    for family in families_of_both_kinds():
        assert (RADIUS * family.distance(family.start) < family.minimum.amin(-1)).all()


@pytest.mark.parametrize(("imbalance", "settled"), [(1.0, 0.0), (3.0, 1.0)])
def test_only_unbalanced_factors_have_a_flatter_place_to_settle(imbalance: float, settled: float) -> None:
    shares = []
    for family in exact_factorisations(40, along_top=True, imbalance=imbalance):
        left, x = leaves(family, [1.02], steps=3 * STEPS)
        moved = (family.step(x, 1.02 * family.bound) - x).norm(dim=-1)
        assert left.all()
        shares.append((moved < 1e-6 * x.norm(dim=-1)).double())
    assert float(torch.cat(shares, 1).mean()) == settled
