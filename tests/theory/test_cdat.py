"""CDAT's step on quadratics, where σ = 1 is the minimiser and σ = 2 the edge, and on networks the dense formula."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from lrpilot.theory.cdat import cdat_lr
from lrpilot.theory.curvature import slope_and_curvature


def quadratic(seed: int, size: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    factor = torch.randn(size, size, generator=rng, dtype=torch.float64)
    H = factor @ factor.mT + 0.1 * torch.eye(size, dtype=torch.float64)
    return H, torch.randn(size, generator=rng, dtype=torch.float64).requires_grad_()


def changes(H: Tensor, x: Tensor, u: Tensor, lr: Tensor) -> Tensor:
    after = x.detach() + lr * u
    return (after @ H @ after - x.detach() @ H @ x.detach()) / 2


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 8))
def test_on_a_quadratic_one_is_the_minimiser_and_two_the_edge(seed: int, size: int) -> None:
    H, x = quadratic(seed, size)
    g = (H @ x).detach()
    slope, curvature = slope_and_curvature(lambda: x @ H @ x / 2, [x])
    greedy, edge = (cdat_lr(slope, curvature, scale) for scale in (1.0, 2.0))
    torch.testing.assert_close(greedy, g @ g / (g @ H @ g))
    assert abs(changes(H, x, -g, edge)) <= 1e-9 * abs(changes(H, x, -g, greedy))
    around = torch.stack([changes(H, x, -g, greedy * factor) for factor in (0.99, 1.0, 1.01)])
    assert around.argmin() == 1
    assert changes(H, x, -g, 1.01 * edge) > 0 > changes(H, x, -g, 0.99 * edge)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_any_update_direction_has_its_own_edge(seed: int) -> None:
    H, x = quadratic(seed, 5)
    u = -(H @ x).detach().sign()  # the update of sign descent
    lr = cdat_lr(*slope_and_curvature(lambda: x @ H @ x / 2, [x], u))
    assert changes(H, x, u, 0.99 * lr) < 0 < changes(H, x, u, 1.01 * lr)


@pytest.mark.parametrize("activation", [nn.Tanh(), nn.GELU(), nn.ReLU()])
@pytest.mark.parametrize("seed", range(4))
def test_on_networks_it_is_the_formula_with_dense_derivatives(activation: nn.Module, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(3, 6), activation, nn.Linear(6, 1)).double()
        inputs, targets = torch.randn(9, 3).double(), torch.randn(9, 1).double()
    names, sizes = [k for k, _ in model.named_parameters()], [p.numel() for p in model.parameters()]

    def f(flat: Tensor) -> Tensor:
        parts = [v.reshape(p.shape) for v, p in zip(flat.split(sizes), model.parameters(), strict=True)]
        return (functional_call(model, dict(zip(names, parts, strict=True)), inputs) - targets).square().mean()

    flat = torch.cat([p.detach().reshape(-1) for p in model.parameters()])
    g, H = torch.func.grad(f)(flat), torch.func.jacrev(torch.func.grad(f))(flat)
    u = -g / (g.abs() + 0.1)  # as an adaptive method would
    derivatives = slope_and_curvature(lambda: (model(inputs) - targets).square().mean(), list(model.parameters()), u)
    torch.testing.assert_close(cdat_lr(*derivatives), 2 * -(g @ u) / (u @ H @ u).abs())


def test_ascent_flat_and_concave_directions() -> None:
    one, zero = torch.ones(()), torch.zeros(())
    assert cdat_lr(one, one) == 0
    assert cdat_lr(-one, zero, epsilon=0.5) == 4
    assert cdat_lr(-one, -one) == cdat_lr(-one, one)
    assert cdat_lr(torch.tensor([-1.0, -2.0]), torch.tensor([1.0, 8.0])).tolist() == [2.0, 0.5]
