"""What GradientMoments estimates, what biases it, and how both guards rescale."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory.noise import ExpectedLine, GradientMoments, noise_aware_bound

FLOAT = torch.float64


@dataclass
class Quadratic:
    """Replicas of f = ½xᵀAx with noise of σ an entry: dense ground truth for the bias along a run."""

    A: Tensor
    x: Tensor  # (d,)
    sigma: float
    replicas: int
    rng: torch.Generator

    def gradient(self, x: Tensor) -> Tensor:
        return x @ self.A + self.sigma * torch.randn(self.replicas, len(self.A), generator=self.rng, dtype=FLOAT)

    @property
    def gradient_sq(self) -> float:
        return float((self.A @ self.x).square().sum())

    @property
    def variance(self) -> float:
        return len(self.A) * self.sigma**2

    @property
    def curvature(self) -> float:
        """E[gᵀAg]."""
        G = self.A @ self.x
        return float(G @ self.A @ G + self.sigma**2 * self.A.trace())


def quadratic() -> Quadratic:
    A = torch.diag(torch.tensor([4.0, 2.0, 1.0, 0.5], dtype=FLOAT))
    return Quadratic(A, torch.ones(4, dtype=FLOAT), 2.0, 200_000, torch.Generator().manual_seed(5))


def test_bias_of_successive_gradients_is_the_curvature_of_the_step() -> None:
    q, eta = quadratic(), 0.3
    x = q.x.expand(q.replicas, 4)
    a = q.gradient(x)
    b = q.gradient(x - eta * a)
    successive, twins = GradientMoments(), GradientMoments()
    for gradient in (a, b):
        successive.observe(gradient)
    twins.observe(a, twin=q.gradient(x))
    image_sq = float((q.A @ q.A @ q.x).square().sum() + q.sigma**2 * (q.A @ q.A).trace())
    variance = q.variance + eta * q.sigma**2 * float(q.A.trace()) + eta**2 / 2 * image_sq
    assert float((a * b).sum(-1).mean()) == pytest.approx(q.gradient_sq - eta * q.curvature, rel=0.01)
    assert float(successive.variance.mean()) == pytest.approx(variance, rel=0.01)
    assert float((a * q.gradient(x)).sum(-1).mean()) == pytest.approx(q.gradient_sq, rel=0.01)
    assert float(twins.variance.mean()) == pytest.approx(q.variance, rel=0.01)


def test_a_guard_that_follows_successive_gradients_settles_at_a_third() -> None:
    q = quadratic()
    x, eta, ratios = q.x.expand(q.replicas, 4), 0.0, []
    truth = 2 * q.gradient_sq / q.curvature
    for _ in range(30):
        a = q.gradient(x)
        product = float((a * q.gradient(x - eta * a)).sum(-1).mean())
        eta = (eta + 2 * product / q.curvature) / 2  # averaged, as the moments are
        ratios.append(eta / truth)
    assert ratios[-1] == pytest.approx(1 / 3, rel=0.02)


def test_epochs_without_replacement_lower_the_product() -> None:
    batches = torch.randn(5, 7, generator=torch.Generator().manual_seed(0), dtype=FLOAT)
    mean = batches.mean(0)
    variance = (batches - mean).square().sum(-1).mean()
    products = batches @ batches.T
    between = (products.sum() - products.trace()) / 20
    torch.testing.assert_close(between, mean.square().sum() - variance / 4)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**31), scale=st.floats(1e-6, 1e6))
def test_rescaling_the_loss_rescales_the_bounds_alone(seed: int, scale: float) -> None:
    """f → cf: gradients times c, moments times c², bounds over c, and s²/‖G‖² as before."""
    rng = torch.Generator().manual_seed(seed)
    gradients = 1 + torch.randn(9, 3, 5, generator=rng, dtype=FLOAT)
    moments, scaled = GradientMoments(0.7), GradientMoments(0.7)
    line, scaled_line = ExpectedLine(0.7), ExpectedLine(0.7)
    for gradient in gradients:
        moments.observe(gradient)
        scaled.observe(scale * gradient)
        polynomial = torch.stack([gradient[:, 0], -gradient.square().sum(-1), *gradient.square().T[:3]], -1)
        line.observe(polynomial)
        scaled_line.observe(polynomial * scale * scale ** torch.arange(5))  # η → η / c along directions times c
    torch.testing.assert_close(scaled.gradient_sq, scale**2 * moments.gradient_sq)
    torch.testing.assert_close(scaled.variance, scale**2 * moments.variance)
    torch.testing.assert_close(scaled_line.limit * scale, line.limit)
    bound = torch.ones((), dtype=FLOAT)
    torch.testing.assert_close(
        noise_aware_bound(bound / scale, scaled.gradient_sq, scaled.variance) * scale,
        noise_aware_bound(bound, moments.gradient_sq, moments.variance),
    )


def test_averages_start_unbiased_and_say_when_they_know_nothing() -> None:
    moments, line = GradientMoments(0.9), ExpectedLine(0.9)
    moments.observe(torch.ones(4))
    with pytest.raises(RuntimeError, match="nothing to average yet"):
        _ = moments.variance
    with pytest.raises(RuntimeError, match="nothing to average yet"):
        _ = line.limit
    for _ in range(3):
        moments.observe(torch.ones(4))
        assert float(moments.gradient_sq) == pytest.approx(4)
        assert float(moments.variance) == 0
    with pytest.raises(ValueError, match=r"decay must lie in \[0, 1\)"):
        GradientMoments(1.0)


def test_an_estimate_below_zero_is_zero() -> None:
    moments = GradientMoments()
    moments.observe(torch.ones(2), twin=-torch.ones(2))
    assert float(moments.gradient_sq) == 0
    assert float(noise_aware_bound(torch.ones(()), moments.gradient_sq, moments.variance)) == 0
