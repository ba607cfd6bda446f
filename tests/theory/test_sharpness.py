"""Sharpness, fast and batched, against dense Hessians of small networks; batch sharpness likewise."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call

from lrpilot.theory.curvature import gradient_and_hessian, slope_and_curvature
from lrpilot.theory.lanczos import largest_eigenvalue
from lrpilot.theory.sharpness import batch_sharpness, sharpness

ACTIVATIONS = (nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU)
NETWORKS = range(25)


class Problem:
    """A network and its loss; every fifth is convolutional, and activations, widths, depths and losses vary."""

    def __init__(self, seed: int, batch: int = 0) -> None:
        activation = ACTIVATIONS[seed % 5]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            if seed % 5 == 4:
                model = nn.Sequential(nn.Conv2d(1, 3, 3), activation(), nn.Flatten(), nn.Linear(3 * 4, 3))
            else:
                width = 4 + seed % 7
                hidden = [layer for _ in range(seed % 3) for layer in (nn.Linear(width, width), activation())]
                model = nn.Sequential(nn.Flatten(), nn.Linear(16, width), activation(), *hidden, nn.Linear(width, 3))
        self.model = model.double()
        self.parameters = list(model.parameters())
        rng = torch.Generator().manual_seed(1_000 * seed + batch)
        self.inputs = torch.randn(10, 1, 4, 4, generator=rng, dtype=torch.float64)
        self.targets = torch.randn(10, 3, generator=rng, dtype=torch.float64)
        self.classifies = seed % 2 == 1

    def loss(self) -> Tensor:
        return self.of(self.model(self.inputs))

    def of(self, outputs: Tensor) -> Tensor:
        if self.classifies:
            return nn.functional.cross_entropy(outputs, self.targets.argmax(1))
        return (outputs - self.targets).square().mean() / 2

    def dense(self) -> tuple[Tensor, Tensor]:
        """Gradient (P,) and Hessian (P, P) by torch.func, from the loss as a function of one flat vector."""
        sizes = [p.numel() for p in self.parameters]

        def f(flat: Tensor) -> Tensor:
            named = zip(flat.split(sizes), self.model.named_parameters(), strict=True)
            return self.of(functional_call(self.model, {k: v.reshape(p.shape) for v, (k, p) in named}, self.inputs))

        flat = torch.cat([p.detach().reshape(-1) for p in self.parameters])
        return torch.func.grad(f)(flat), torch.func.jacrev(torch.func.grad(f))(flat)


@pytest.mark.parametrize("seed", NETWORKS)
def test_sharpness_is_the_largest_eigenvalue_of_the_dense_hessian(seed: int) -> None:
    net = Problem(seed)
    true = float(torch.linalg.eigvalsh(net.dense()[1])[-1])
    assert sharpness(net.loss, net.parameters) == pytest.approx(true, rel=1e-4)
    gradient, product = gradient_and_hessian(net.loss, net.parameters)
    assert float(largest_eigenvalue(product, gradient, 40)[0]) == pytest.approx(true, rel=1e-4)


@pytest.mark.parametrize("seed", NETWORKS)
def test_gradients_products_and_curvatures_are_those_of_the_dense_hessian(seed: int) -> None:
    net = Problem(seed)
    g, H = net.dense()
    gradient, product = gradient_and_hessian(net.loss, net.parameters)
    u = torch.randn(len(g), generator=torch.Generator().manual_seed(seed), dtype=g.dtype)
    torch.testing.assert_close((gradient, product(u)), (g, H @ u))
    torch.testing.assert_close(slope_and_curvature(net.loss, net.parameters, u), (g @ u, u @ H @ u))


def test_too_few_products_fall_short() -> None:
    """The check above can fail: two products are not enough for most networks."""
    short = 0
    for seed in NETWORKS:
        net = Problem(seed)
        gradient, product = gradient_and_hessian(net.loss, net.parameters)
        few, many = (float(largest_eigenvalue(product, gradient, count)[0]) for count in (2, 40))
        short += few < many * (1 - 1e-4)
    assert short >= 20


def test_networks_side_by_side_are_as_each_alone() -> None:
    """B networks of one shape in tensors with a leading dimension: one product serves all of them."""
    rng = torch.Generator().manual_seed(3)
    W, V = (torch.randn(24, *shape, generator=rng, dtype=torch.float64) for shape in ((5, 4), (1, 5)))
    W, V = W.requires_grad_(), V.requires_grad_()
    inputs, targets = (torch.randn(n, 9, generator=rng, dtype=torch.float64) for n in (4, 1))

    def losses(W: Tensor, V: Tensor) -> Tensor:
        return (V @ torch.tanh(W @ inputs) - targets).square().mean((-2, -1)) / 2

    gradient, product = gradient_and_hessian(lambda: losses(W, V), [W, V])
    values, vectors = largest_eigenvalue(product, gradient, 25)
    assert values.shape == (24,)
    assert vectors.shape == (24, 25)
    torch.testing.assert_close(product(vectors), values[:, None] * vectors, rtol=1e-4, atol=1e-6)
    for b in range(24):
        one, two = W[b].detach().requires_grad_(), V[b].detach().requires_grad_()
        alone = sharpness(lambda one=one, two=two: losses(one, two), [one, two])
        assert float(values[b]) == pytest.approx(alone, rel=1e-4)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.integers(1, 12), shift=st.floats(-20, 20), products=st.integers(1, 15))
def test_lanczos_is_below_the_truth_and_above_every_power_iteration(
    seed: int, size: int, shift: float, products: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    A = torch.randn(3, size, size, generator=rng, dtype=torch.float64)
    A = A + A.mT + shift * torch.eye(size, dtype=torch.float64)
    start = torch.randn(3, size, generator=rng, dtype=torch.float64)
    values, vectors = largest_eigenvalue(lambda v: (A @ v[..., None])[..., 0], start, products)
    true = torch.linalg.eigvalsh(A)[..., -1]
    assert (values <= true + 1e-8).all()
    if products >= size:
        torch.testing.assert_close(values, true, rtol=1e-8, atol=1e-8)
    power = start
    for _ in range(products - 1):
        power = (A @ power[..., None])[..., 0]
        power = power / power.norm(dim=-1, keepdim=True)
    power = power / power.norm(dim=-1, keepdim=True)
    assert (values >= torch.einsum("bi,bij,bj->b", power, A, power) - 1e-8).all()
    torch.testing.assert_close(torch.einsum("bi,bij,bj->b", vectors, A, vectors), values)


@pytest.mark.parametrize("eigenvalues", [[-5.0, -3.0, -1.0], [0.0, 0.0, 0.0], [-9.0, 2.0, 1.0], [3.0, 3.0, 3.0]])
def test_a_start_in_an_invariant_subspace_is_left(eigenvalues: list[float]) -> None:
    A, start = torch.diag(torch.tensor(eigenvalues)), torch.tensor([1.0, 0.0, 0.0])
    value, vector = largest_eigenvalue(lambda v: v @ A, start, 5)
    assert float(value) == pytest.approx(max(eigenvalues), abs=1e-5)
    assert float(vector.norm()) == pytest.approx(1, abs=1e-5)


def test_warm_start_goes_on_where_the_last_call_ended() -> None:
    A = torch.diag(torch.linspace(-1, 1, 300, dtype=torch.float64))
    vector, values = torch.ones(300, dtype=torch.float64), []
    for _ in range(20):
        value, vector = largest_eigenvalue(lambda v: v @ A, vector, 5)
        values.append(float(value))
    assert values == sorted(values)
    assert 1 - values[-1] < 0.1 * (1 - values[0])


def test_curious_losses() -> None:
    x = torch.ones(30, requires_grad=True)
    assert sharpness(lambda: -(x.square() * torch.arange(1, 31)).sum() / 2, [x]) == pytest.approx(-1, rel=1e-4)
    assert sharpness(lambda: 2 * x.sum(), [x]) == 0
    assert math.isnan(sharpness(lambda: x.sum() * math.nan, [x]))
    with pytest.raises(ValueError, match="at least 1, not 0"):
        largest_eigenvalue(lambda v: v, torch.ones(2), 0)


@pytest.mark.parametrize("seed", [0, 1, 4, 7, 9])
def test_batch_sharpness_is_the_mean_of_dense_ratios(seed: int) -> None:
    nets = [Problem(seed, batch) for batch in range(6)]
    curvatures, sizes = torch.tensor([[g @ H @ g, g @ g] for g, H in map(Problem.dense, nets)]).mT
    one = nets[0]

    def loss_of(net: Problem) -> Callable[[], Tensor]:
        return lambda: net.of(one.model(net.inputs))

    measured = batch_sharpness(map(loss_of, nets), one.parameters)
    assert measured == pytest.approx(float((curvatures / sizes).mean()), rel=1e-6)
    # the ratio of the expectations is another number
    assert measured != pytest.approx(float(curvatures.sum() / sizes.sum()), rel=1e-3)


def test_batches_without_gradient_are_left_out() -> None:
    x = torch.tensor([1.0], requires_grad=True)
    assert batch_sharpness([lambda: (x - 1).square().sum(), lambda: 3 * x.square().sum()], [x]) == 6
    assert math.isnan(batch_sharpness([lambda: (x - 1).square().sum()], [x]))
