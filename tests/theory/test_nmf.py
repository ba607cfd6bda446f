"""Bounds against dense Hessians, exact line searches and the slow reference."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory import NMFBound, block_smoothness, joint_smoothness, noise_aware_bound, segment_bound
from lrpilot.theory.dense import nmf_hessian, nmf_segment_bound


def problem(seed: int, m: int, n: int, r: int, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    W, H, X = (torch.rand(*shape, generator=rng, dtype=torch.float64) for shape in ((m, r), (r, n), (m, n)))
    return W * scale, H / scale, X * r / 4


def loss(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    return (W @ H - X).square().sum() / 2


def projected_step(W: Tensor, H: Tensor, X: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    R = W @ H - X
    return (W - eta * R @ H.mT).clamp_min(0), (H - eta * W.mT @ R).clamp_min(0)


def test_dense_hessian_is_autograds() -> None:
    W, H, X = problem(0, 3, 4, 2)

    def f(flat: Tensor) -> Tensor:
        return loss(flat[:6].reshape(3, 2), flat[6:].reshape(2, 4), X)

    expected = torch.autograd.functional.hessian(f, torch.cat([W.reshape(-1), H.reshape(-1)]))
    torch.testing.assert_close(nmf_hessian(W, H, X), expected)


def _ratios(count: int, steps: int) -> Tensor:
    ratios = []
    for seed in range(count):
        W, H, X = problem(seed, 3 + seed % 6, 3 + seed % 5, 1 + seed % 3)
        if steps:
            X = torch.rand_like(W) @ torch.rand_like(H)
        for _ in range(steps):
            W, H = projected_step(W, H, X, 1.8 / joint_smoothness(W, H, X))
        top = torch.linalg.eigvalsh(nmf_hessian(W, H, X))[-1]
        ratios.append(joint_smoothness(W, H, X) / top)
    return torch.stack(ratios)


def test_joint_bound_holds_and_is_tight() -> None:
    at_init, converged = _ratios(1_000, 0), _ratios(24, 2_000)
    assert torch.minimum(at_init.min(), converged.min()) >= 1 - 1e-9
    assert at_init.median() <= 1.10
    assert converged.median() <= 1.01


@pytest.mark.slow
def test_joint_bound_holds_on_10_000_random_triples() -> None:
    ratios = _ratios(10_000, 0)
    assert ratios.min() >= 1 - 1e-9
    assert ratios.median() <= 1.10


def test_block_constants_are_attained() -> None:
    W, H, X = problem(1, 5, 6, 2)
    hessian = nmf_hessian(W, H, X)
    in_W, in_H = block_smoothness(W, H)
    torch.testing.assert_close(torch.linalg.eigvalsh(hessian[:10, :10])[-1], in_W)
    torch.testing.assert_close(torch.linalg.eigvalsh(hessian[10:, 10:])[-1], in_H)


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    m=st.integers(1, 12),
    n=st.integers(1, 12),
    r=st.integers(1, 5),
    scale=st.floats(0.01, 100),
)
def test_a_projected_step_inside_the_bound_never_raises_the_loss(
    seed: int, m: int, n: int, r: int, scale: float
) -> None:
    W, H, X = problem(seed, m, n, r, scale)
    before = loss(W, H, X)
    eta = NMFBound(W, H, X)()
    assert loss(*projected_step(W, H, X, eta), X) <= before * (1 + 1e-12)
    assert eta <= nmf_segment_bound(W, H, X) * (1 + 1e-9)


def _pushed_off_an_exact_factorisation(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """A state a little away from a minimum, along the direction of the largest curvature."""
    W, H, X = problem(seed, 6, 7, 2)
    X = W @ H
    top = torch.linalg.eigh(nmf_hessian(W, H, X)).eigenvectors[:, -1].abs() * 1e-3
    return W + top[:12].reshape(6, 2), H + top[12:].reshape(2, 7), X


@pytest.mark.parametrize(("multiple", "raises"), [(1.0, 0), (1.5, 50), (3.0, 50)])
def test_the_bound_is_where_steps_begin_to_raise_the_loss(multiple: float, raises: int) -> None:
    raised = 0
    for seed in range(50):
        W, H, X = _pushed_off_an_exact_factorisation(seed)
        raised += bool(loss(*projected_step(W, H, X, multiple * NMFBound(W, H, X)()), X) > loss(W, H, X))
    assert raised == raises


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), columns=st.integers(1, 9))
def test_mini_batch_bound_holds_for_its_batch(seed: int, columns: int) -> None:
    W, H, X = problem(seed, 7, 9, 3)
    batch = torch.randperm(9, generator=torch.Generator().manual_seed(seed))[:columns]
    eta = NMFBound(W, H, X, columns=lambda: batch)()
    kappa = 9 / columns
    after = projected_step(W, H[:, batch], X[:, batch], eta * kappa)
    assert loss(*after, X[:, batch]) <= loss(W, H[:, batch], X[:, batch]) * (1 + 1e-12)


def test_segment_bound_matches_bisection_and_never_exceeds_it() -> None:
    for seed in range(50):
        W, H, X = problem(seed, 6, 7, 3, 10 ** (seed % 5 - 2))
        S = sum(block_smoothness(W, H))
        R = W @ H - X
        g = ((R @ H.mT).square().sum() + (W.mT @ R).square().sum()).sqrt()
        eta, reference = segment_bound(S, torch.linalg.matrix_norm(R, 2), g), nmf_segment_bound(W, H, X)
        assert reference * 0.999 <= eta <= reference * (1 + 1e-12)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"does not give X \(3, 4\)"):
        NMFBound(torch.ones(3, 2), torch.ones(3, 4), torch.ones(3, 4))


def test_noise_aware_bound_is_where_expected_descent_ends() -> None:
    """On a quadratic with curvature L the expected change is zero exactly at the bound."""
    L, g_sq, s_sq = torch.tensor(4.0), torch.tensor(2.0), torch.tensor(6.0)
    eta = noise_aware_bound(2 / L, g_sq, s_sq)
    change = -eta * g_sq + L * eta**2 / 2 * (g_sq + s_sq)
    torch.testing.assert_close(change, torch.zeros(()))
