"""The kernel and its norm against plain Jacobians, and the critical LR against gradient descent."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lrpilot.theory.ntk import critical_lr, ntk, ntk_norm

ACTIVATIONS = (nn.Tanh, nn.ReLU, nn.GELU, nn.Sigmoid, nn.SiLU)
NETWORKS = range(25)


def network(seed: int) -> tuple[nn.Module, Tensor]:
    activation, outputs = ACTIVATIONS[seed % 5], 1 + seed % 3
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if seed % 5 == 4:
            model = nn.Sequential(nn.Conv2d(1, 4, 3), activation(), nn.Flatten(), nn.Linear(16, outputs))
        else:
            width = 4 + seed % 9
            model = nn.Sequential(nn.Flatten(), nn.Linear(16, width), activation(), nn.Linear(width, outputs))
        return model.double(), torch.randn(8 + seed % 9, 1, 4, 4, dtype=torch.float64)


def dense_kernel(model: nn.Module, inputs: Tensor) -> Tensor:
    """One backward pass for every output."""
    outputs, parameters = model(inputs).reshape(-1), [p for p in model.parameters() if p.requires_grad]
    rows = [torch.autograd.grad(output, parameters, retain_graph=True) for output in outputs]
    J = torch.stack([torch.cat([part.reshape(-1) for part in row]) for row in rows])
    return J @ J.mT


@pytest.mark.parametrize("seed", NETWORKS)
def test_kernel_and_norm_are_those_of_the_jacobian(seed: int) -> None:
    model, inputs = network(seed)
    expected = dense_kernel(model, inputs)
    torch.testing.assert_close(ntk(model, inputs, chunk=3), expected)
    assert ntk_norm(model, inputs) == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]), rel=1e-4)


def test_two_products_are_too_few() -> None:
    """The check above can fail."""
    short = 0
    for seed in NETWORKS:
        model, inputs = network(seed)
        short += ntk_norm(model, inputs, products=2) < ntk_norm(model, inputs) * (1 - 1e-4)
    assert short >= 15


def test_frozen_weights_do_not_count() -> None:
    model, inputs = network(0)
    whole = ntk_norm(model, inputs)
    model[1].weight.requires_grad_(False)
    expected = dense_kernel(model, inputs)
    torch.testing.assert_close(ntk(model, inputs), expected)
    assert ntk_norm(model, inputs) == pytest.approx(float(torch.linalg.eigvalsh(expected)[-1]), rel=1e-6)
    assert ntk_norm(model, inputs) < whole


def test_batch_norm_in_training_couples_the_batch() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Linear(5, 2)).double()
    inputs = torch.randn(7, 16, dtype=torch.float64)
    expected = float(torch.linalg.eigvalsh(dense_kernel(model, inputs))[-1])
    assert ntk_norm(model, inputs) == pytest.approx(expected, rel=1e-6)
    model.eval()
    torch.testing.assert_close(ntk(model, inputs), dense_kernel(model, inputs))


def descend(seed: int, multiple: float, steps: int = 3_000) -> float:
    """Loss at the end over loss at the start, of a linear model at a multiple of its critical LR."""
    rng = torch.Generator().manual_seed(seed)
    X, Y = (torch.randn(12, size, generator=rng, dtype=torch.float64) for size in (6, 2))
    Y = X @ torch.linalg.pinv(X) @ Y  # reachable, so that the loss can go to zero
    model = nn.Linear(6, 2, bias=False).double()
    nn.init.normal_(model.weight, generator=rng)
    optimizer = torch.optim.SGD(model.parameters(), multiple * critical_lr(model, X))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(X) - Y).square().sum() / (2 * len(X))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if loss > 1e12 * losses[0]:
            break
    return losses[-1] / losses[0]


@pytest.mark.parametrize("seed", range(3))
def test_critical_lr_is_exact_for_a_linear_model(seed: int) -> None:
    assert descend(seed, 0.98) < 1e-6
    assert descend(seed, 1.02) > 1e12


def test_gauss_newton_matrix_of_cross_entropy_is_within_its_bound() -> None:
    """The ½ is attained by two classes of even odds."""
    ratios = []
    for seed in NETWORKS:
        model, inputs = network(seed)
        probabilities = model(inputs).softmax(1).detach()
        blocks = torch.diag_embed(probabilities) - probabilities[:, :, None] * probabilities[:, None, :]
        M, K = torch.block_diag(*blocks), ntk(model, inputs)
        root = torch.linalg.eigh(K)
        half = root.eigenvectors * root.eigenvalues.clamp_min(0).sqrt()
        top = torch.linalg.eigvalsh(half.mT @ M @ half)[-1] / len(inputs)
        ratios.append(float(top) * critical_lr(model, inputs, 0.5) / 2)
    assert max(ratios) <= 1 + 1e-9
    assert torch.linalg.eigvalsh(torch.tensor([[0.25, -0.25], [-0.25, 0.25]]))[-1] == 0.5


def test_a_model_that_no_weight_moves_has_no_limit() -> None:
    model = nn.Linear(2, 1, bias=False)
    assert critical_lr(model, torch.zeros(3, 2)) == float("inf")
