"""The quartic against direct evaluation, its limits against numpy.roots and brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory import NMFBound
from lrpilot.theory.line import descent_intervals, descent_limit, gradient_line, line_polynomial

FLOAT = torch.float64


def states(seed: int, count: int, m: int, n: int, r: int, steps: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Uniform W, H and X = a uniform product of rank r plus noise, after projected steps at .9 of the bound."""
    rng = torch.Generator().manual_seed(seed)
    shapes = ((m, r), (r, n), (m, r), (r, n), (m, n))
    W, H, V, U, E = (torch.rand(count, *shape, generator=rng, dtype=FLOAT) for shape in shapes)
    X = V @ U + 0.1 * E
    for _ in range(steps):
        W, H = projected_step(W, H, X, 0.9 * NMFBound(W, H, X)())
    return W, H, X


def projected_step(W: Tensor, H: Tensor, X: Tensor, eta: Tensor) -> tuple[Tensor, Tensor]:
    R, eta = W @ H - X, eta[..., None, None]
    return (W - eta * R @ H.mT).clamp_min(0), (H - eta * W.mT @ R).clamp_min(0)


def loss(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    return (W @ H - X).square().sum((-2, -1)) / 2


def value(polynomial: Tensor, eta: Tensor) -> Tensor:
    return (polynomial * eta[..., None] ** torch.arange(5)).sum(-1)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), m=st.integers(1, 8), n=st.integers(1, 8), r=st.integers(1, 4), eta=st.floats(-3, 3))
def test_polynomial_is_the_loss_along_the_line(seed: int, m: int, n: int, r: int, eta: float) -> None:
    W, H, X = states(seed, 4, m, n, r)
    A, B = torch.randn_like(W), torch.randn_like(H)
    expected = loss(W + eta * A, H + eta * B, X)
    torch.testing.assert_close(value(line_polynomial(W, H, X, A, B), torch.full((4,), eta, dtype=FLOAT)), expected)


def test_many_directions_share_a_state() -> None:
    W, H, X = states(0, 1, 3, 4, 2)
    A, B = torch.randn(5, 1, 3, 2, dtype=FLOAT), torch.randn(5, 1, 2, 4, dtype=FLOAT)
    each = torch.stack([line_polynomial(W, H, X, a, b) for a, b in zip(A, B, strict=True)])
    torch.testing.assert_close(line_polynomial(W, H, X, A, B), each)


def reference(polynomial: Tensor) -> tuple[float, float, float]:
    """The three limits of one polynomial from numpy.roots."""
    roots = np.roots(polynomial[1:].numpy()[::-1])
    positive = np.sort(roots[np.isreal(roots) & (roots.real > 0)].real)
    if polynomial[1] > 0:
        positive = np.concatenate([[0.0], positive])
    return (positive[0], positive[0], positive[0]) if len(positive) == 1 else tuple(positive)


def test_limits_are_the_roots_that_numpy_finds() -> None:
    rng = torch.Generator().manual_seed(0)
    polynomials = torch.randn(5_000, 5, generator=rng, dtype=FLOAT) * 10 ** torch.randn(5_000, 5, generator=rng)
    polynomials[:, 4] = polynomials[:, 4].abs()
    expected = torch.tensor([reference(polynomial) for polynomial in polynomials], dtype=FLOAT)
    limits = torch.stack(descent_intervals(polynomials), -1)
    torch.testing.assert_close(limits, expected, rtol=1e-7, atol=0)
    assert (limits[:, 0] < limits[:, 1]).sum() > 100  # both kinds are there: two intervals,
    assert (limits[:, 0] == limits[:, 2]).sum() > 100  # and one


@settings(max_examples=200, deadline=None)
@given(
    roots=st.lists(st.floats(0.1, 10), min_size=3, max_size=3),
    log_unit=st.integers(-30, 30),
    log_scale=st.integers(-30, 30),
)
def test_limits_are_exact_at_any_scale(roots: list[float], log_unit: int, log_scale: int) -> None:
    """η(η − a)(η − b)(η − c) in any units of η and f; well separated, so that rounding does not matter."""
    a, b, c = sorted(roots)
    b, c = 1.2 * b, 1.5 * c
    cubic = torch.tensor([-a * b * c, a * b + b * c + c * a, -a - b - c, 1.0], dtype=FLOAT)
    unit = 10.0**log_unit
    coefficients = 10.0**log_scale * cubic / unit ** torch.arange(4, dtype=FLOAT)
    limits = torch.stack(descent_intervals(torch.cat([torch.zeros(1, dtype=FLOAT), coefficients])))
    torch.testing.assert_close(limits, unit * torch.tensor([a, b, c], dtype=FLOAT), rtol=1e-11, atol=0)


def test_no_step_below_the_limit_raises_the_loss_and_one_just_above_does() -> None:
    W, H, X = states(1, 200, 6, 7, 3)
    W = torch.cat([W, 3 * W, W / 3])  # starts above and below the data
    H, X = H.repeat(3, 1, 1), X.repeat(3, 1, 1)
    first, again, last = descent_intervals(gradient_line(W, H, X))
    R = W @ H - X

    def raised(eta: Tensor) -> Tensor:
        eta = eta[:, None, None]
        return loss(W - eta * R @ H.mT, H - eta * W.mT @ R, X) > loss(W, H, X) * (1 + 1e-12)

    for share in torch.linspace(0, 1, 101, dtype=FLOAT):
        assert not raised(share * first).any()
        assert not raised(again + share * (last - again)).any()
        assert raised(first + (0.001 + 0.998 * share) * (again - first))[first < again].all()
    assert raised(1.001 * last).all()
    assert (raised(1.001 * first) | (again <= 1.001 * first)).all()
    assert (first < again).any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("coefficients", "limits"),
    [
        ((1.0, 0.0, 0.0, 0.0, 0.0), (math.inf, math.inf, math.inf)),  # f does not change: a stationary point
        ((1.0, 1.0, 1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),  # ascent
        ((0.0, 6.0, -5.0, 1.0, 0.0), (0.0, 2.0, 3.0)),  # ascent, then a dip
        ((0.0, 0.0, 1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),  # no slope, positive curvature
        ((0.0, 0.0, -4.0, 0.0, 1.0), (2.0, 2.0, 2.0)),  # no slope, negative curvature: a saddle
        ((0.0, -2.0, 1.0, 0.0, 0.0), (2.0, 2.0, 2.0)),  # a parabola
        ((0.0, -1.0, 0.0, 0.0, 0.0), (math.inf, math.inf, math.inf)),  # a falling line
        ((0.0, -8.0, 0.0, 0.0, 1.0), (2.0, 2.0, 2.0)),  # no turning point
        ((0.0, -1.0, 3.0, -3.0, 1.0), (1.0, 1.0, 1.0)),  # a triple root
        ((0.0, math.nan, 1.0, 1.0, 1.0), (0.0, 0.0, 0.0)),
        ((0.0, -1.0, 1.0, math.inf, 1.0), (0.0, 0.0, 0.0)),
    ],
)
def test_edge_cases(coefficients: tuple[float, ...], limits: tuple[float, ...], dtype: torch.dtype) -> None:
    result = descent_intervals(torch.tensor(coefficients, dtype=dtype))
    accuracy = 1e-2 if dtype == torch.float32 else 1e-5  # a triple root is known to the cube root of rounding
    torch.testing.assert_close(torch.stack(result), torch.tensor(limits, dtype=dtype), rtol=accuracy, atol=0)


def test_projection_can_raise_the_loss_below_the_limit_of_the_unprojected_line() -> None:
    """The limit on the line of the *displacement* is the one that holds with projection."""
    W, H, X = states(2, 500, 5, 6, 2, steps=10)
    eta = 0.99 * descent_limit(gradient_line(W, H, X))
    W1, H1 = projected_step(W, H, X, eta)
    raised = loss(W1, H1, X) > loss(W, H, X) * (1 + 1e-12)
    within = descent_limit(line_polynomial(W, H, X, W1 - W, H1 - H)) >= 1
    assert raised.double().mean() > 0.03
    assert not (raised & within).any()
    assert (raised | within).all()


def ratio(m: int, n: int, r: int, steps: int, count: int = 200) -> Tensor:
    """The certified bound over the exact limit of the unprojected line, one for each state."""
    W, H, X = states(3, count, m, n, r, steps)
    return NMFBound(W, H, X)() / descent_limit(gradient_line(W, H, X))


def test_the_certified_bound_is_below_the_exact_limit() -> None:
    at_init, later = ratio(8, 10, 3, 0), ratio(8, 10, 3, 100)
    assert torch.maximum(at_init.max(), later.max()) <= 1
    assert 0.2 <= at_init.median() <= 0.5
    assert 0.01 <= later.median() <= 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n", "r"), [(5, 6, 2), (8, 10, 3), (20, 30, 5)])
def test_the_certified_bound_is_below_the_exact_limit_all_along(m: int, n: int, r: int) -> None:
    for steps in (0, 10, 100, 1_000):
        ratios = ratio(m, n, r, steps, 500)
        low, median, high = ratios.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=FLOAT)).tolist()
        print(f"{m} × {n} rank {r}, step {steps}: {median:.3f} [{low:.3f}, {high:.3f}], most {ratios.max():.3f}")
        assert ratios.max() <= 1
