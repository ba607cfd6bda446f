"""The certified norms are never too small, and tight where one direction dominates."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrpilot.theory.spectral import gram_norm_bound, norm_bound


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**31), r=st.integers(1, 8), m=st.integers(1, 12), scale=st.floats(1e-6, 1e6))
def test_gram_bound_is_certified(seed: int, r: int, m: int, scale: float) -> None:
    A = scale * torch.randn(m, r, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    true = torch.linalg.matrix_norm(A, 2) ** 2
    bound = gram_norm_bound(A.mT @ A)
    assert true * (1 - 1e-9) <= bound <= true * r ** (1 / 16) * (1 + 1e-9)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**31), m=st.integers(1, 12), n=st.integers(1, 12), warm=st.integers(0, 5))
def test_norm_bound_is_certified_from_any_start(seed: int, m: int, n: int, warm: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(m, n, generator=rng, dtype=torch.float64)
    v = torch.randn(n, generator=rng, dtype=torch.float64)
    for _ in range(warm + 1):
        bound, v = norm_bound(A, v, A.square().sum())
    true, frobenius = torch.linalg.matrix_norm(A, 2), torch.linalg.matrix_norm(A)
    assert true * (1 - 1e-9) <= bound <= frobenius * (1 + 1e-9)


def test_norm_bound_is_tight_for_a_dominant_direction() -> None:
    A = torch.ones(20, 30, dtype=torch.float64) + 0.1 * torch.randn(20, 30, dtype=torch.float64)
    bound, v = norm_bound(A, torch.ones(30, dtype=torch.float64), A.square().sum())
    bound, _ = norm_bound(A, v, A.square().sum())
    assert bound <= 1.001 * torch.linalg.matrix_norm(A, 2)


def test_zero_matrix_gives_a_finite_bound() -> None:
    bound, v = norm_bound(torch.zeros(3, 4), torch.ones(4), torch.zeros(()))
    assert bound == 0
    assert torch.isfinite(v).all()
    assert gram_norm_bound(torch.zeros(2, 2)) < 1e-30
