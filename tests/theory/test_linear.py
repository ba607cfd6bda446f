"""The mini-batch bound against every mini-batch there is; Chebyshev's steps against their own optimality."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory import chebyshev_rate, chebyshev_steps, minibatch_smoothness


def jacobian(seed: int, examples: int, outputs: int, weights: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    scales = torch.logspace(0, -2, weights, dtype=torch.float64)
    J = torch.randn(examples * outputs, weights, generator=rng, dtype=torch.float64) * scales
    return J, torch.arange(examples).repeat_interleave(outputs)


def second_moment(J: Tensor, example: Tensor, batch: int, decay: float) -> tuple[Tensor, Tensor]:
    """(E (A_S + λ)², A + λ) from all mini-batches of a size."""
    eye = decay * torch.eye(J.shape[1], dtype=J.dtype)
    count = int(example.max()) + 1
    squares = []
    for chosen in combinations(range(count), batch):
        rows = J[torch.isin(example, torch.tensor(chosen))]
        squares.append((rows.mT @ rows / batch + eye).matrix_power(2))
    return torch.stack(squares).mean(0), J.mT @ J / count + eye


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    examples=st.integers(1, 5),
    outputs=st.integers(1, 3),
    weights=st.integers(1, 20),
    batch=st.integers(1, 5),
    decay=st.sampled_from([0.0, 0.1, 3.0]),
)
def test_sgd_is_stable_in_mean_square_up_to_the_bound(
    seed: int, examples: int, outputs: int, weights: int, batch: int, decay: float
) -> None:
    batch = min(batch, examples)
    J, example = jacobian(seed, examples, outputs, weights)
    L = float(minibatch_smoothness(J @ J.mT, example, torch.tensor(batch), decay))
    second, first = second_moment(J, example, batch, decay)
    slack = torch.linalg.eigvalsh(L * first - second)[0]
    assert slack >= -1e-9 * L * L
    eta = 2 / L
    step = torch.eye(weights, dtype=J.dtype) - 2 * eta * first + eta * eta * second  # E (I − ηA_S)ᵀ(I − ηA_S)
    assert torch.linalg.eigvalsh(step)[-1] <= 1 + 1e-9


def test_the_bound_is_attained_where_the_network_can_fit_everything() -> None:
    """With more weights than residuals and no weight decay, a smaller L fails: the check above can fail."""
    for seed in range(20):
        J, example = jacobian(seed, 4, 2, 30)
        L = float(minibatch_smoothness(J @ J.mT, example, torch.tensor(2)))
        second, first = second_moment(J, example, 2, 0.0)
        assert torch.linalg.eigvalsh(0.98 * L * first - second)[0] < -1e-6


def test_full_batch_is_the_largest_eigenvalue_of_the_hessian() -> None:
    J, example = jacobian(1, 6, 2, 9)
    hessian = J.mT @ J / 6 + 0.3 * torch.eye(9, dtype=J.dtype)
    L = minibatch_smoothness(J @ J.mT, example, torch.tensor(6), 0.3)
    torch.testing.assert_close(L, torch.linalg.eigvalsh(hessian)[-1])


def test_padding_changes_nothing() -> None:
    J, example = jacobian(2, 4, 2, 9)
    kernel = torch.zeros(2, 12, 12, dtype=J.dtype)
    kernel[:, :8, :8] = J @ J.mT
    padded = torch.full((2, 12), -1)
    padded[:, :8] = example
    batch = torch.tensor([1, 3])
    expected = [minibatch_smoothness(J @ J.mT, example, size) for size in batch]
    torch.testing.assert_close(minibatch_smoothness(kernel, padded, batch), torch.stack(expected))


@pytest.mark.parametrize("count", [1, 2, 7, 40, 200])
@pytest.mark.parametrize("condition", [1.0, 10.0, 1e3, 1e6])
def test_chebyshev_steps_do_what_their_rate_says(count: int, condition: float) -> None:
    curvature = np.geomspace(1, condition, 4001)
    error, worst = np.ones_like(curvature), 0.0
    for lr in chebyshev_steps(1.0, condition, count):
        error = error * (1 - lr * curvature)
        worst = max(worst, float(np.abs(error).max()))
    assert np.abs(error).max() == pytest.approx(chebyshev_rate(1.0, condition, count), rel=1e-6, abs=1e-14)
    assert worst < 1e6  # in the order of the roots it would be far beyond 1e16


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 6))
def test_no_other_steps_promise_more(seed: int, count: int) -> None:
    curvature = np.linspace(1, 30, 2001)
    lrs = 1 / np.random.default_rng(seed).uniform(1, 30, count)
    assert np.abs(np.prod(1 - lrs[:, None] * curvature, 0)).max() >= chebyshev_rate(1.0, 30.0, count)


@pytest.mark.parametrize(("smallest", "largest", "count"), [(0.0, 1.0, 3), (2.0, 1.0, 3), (1.0, 2.0, 0)])
def test_impossible_spectra_are_refused(smallest: float, largest: float, count: int) -> None:
    with pytest.raises(ValueError, match=f"not {smallest}, {largest}, {count}"):
        chebyshev_steps(smallest, largest, count)
