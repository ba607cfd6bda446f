"""The step rule of two-layer linear networks: its constants against dense ones, and every step of whole runs."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory.dense import two_layer_kernel
from lrpilot.theory.two_layer import best_step, contraction, largest_step, local_pl, step_smoothness

Network = tuple[Tensor, Tensor, Tensor, Tensor]
SCALES = (0.03, 0.3, 1.0, 3.0, 30.0)


def network(seed: int, in_scale: float = 1.0, out_scale: float = 1.0, hidden: int = 8) -> Network:
    """Gaussian weights and data; the rows of X need not be independent, nor Y reachable."""
    rng = torch.Generator().manual_seed(seed)
    n, d, m = 3 + seed % 5, 2 + seed % 3, 1 + seed % 4
    shapes = ((d, hidden), (hidden, m), (n, d), (n, m))
    W1, W2, X, Y = (torch.randn(*shape, generator=rng, dtype=torch.float64) for shape in shapes)
    return W1 * in_scale, W2 * out_scale, X, Y


def excess(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor) -> Tensor:
    reachable = X @ torch.linalg.pinv(X) @ Y
    return (X @ W1 @ W2 - reachable).square().sum() / 2


def gradient(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor]:
    pulled = X.mT @ (X @ W1 @ W2 - Y)
    return pulled @ W2.mT, W1.mT @ pulled


def step(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor, eta: Tensor) -> Network:
    G1, G2 = gradient(W1, W2, X, Y)
    return W1 - eta * G1, W2 - eta * G2, X, Y


def constants(net: Network, eta: Tensor) -> tuple[Tensor, Tensor]:
    return local_pl(*net[:3]), step_smoothness(*net, eta)


@pytest.mark.parametrize("seed", range(30))
def test_mu_is_the_smallest_eigenvalue_of_the_dense_kernel(seed: int) -> None:
    W1, W2, X, Y = network(seed, hidden=1 + seed % 8)
    spectrum = torch.linalg.eigvalsh(two_layer_kernel(W1, W2, X))
    unreachable = (X.shape[0] - int(torch.linalg.matrix_rank(X))) * W2.shape[1]  # directions outside the range of X
    torch.testing.assert_close(local_pl(W1, W2, X), spectrum[unreachable].clamp_min(0), rtol=1e-8, atol=1e-9)
    G1, G2 = gradient(W1, W2, X, Y)
    bound = 2 * local_pl(W1, W2, X) * excess(W1, W2, X, Y)
    assert G1.square().sum() + G2.square().sum() >= bound * (1 - 1e-9)


def test_smoothness_begins_at_the_largest_eigenvalue_of_the_dense_kernel() -> None:
    for seed in range(30):
        W1, W2, X, _ = network(seed)
        top = torch.linalg.eigvalsh(two_layer_kernel(W1, W2, X))[-1]
        torch.testing.assert_close(step_smoothness(W1, W2, X, X @ W1 @ W2, 0.0), top)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    in_scale=st.sampled_from(SCALES),
    out_scale=st.sampled_from(SCALES),
    hidden=st.integers(1, 9),
    share=st.floats(0.01, 1.0),
)
def test_every_step_up_to_the_largest_contracts_as_promised(
    seed: int, in_scale: float, out_scale: float, hidden: int, share: float
) -> None:
    net = network(seed, in_scale, out_scale, hidden)
    eta = share * largest_step(*net)
    mu, K = constants(net, eta)
    assert eta * K <= 2 * (1 + 1e-9)
    factor = contraction(mu, K, eta)
    assert -1e-9 <= factor <= 1 + 1e-9
    before = excess(*net)
    assert excess(*step(*net, eta)) <= factor * before * (1 + 1e-9) + 1e-20


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), in_scale=st.sampled_from(SCALES), out_scale=st.sampled_from(SCALES))
def test_best_step_gains_as_much_as_any_on_a_grid(seed: int, in_scale: float, out_scale: float) -> None:
    net = network(seed, in_scale, out_scale)

    def gain(eta: Tensor) -> Tensor:
        return 2 * eta - step_smoothness(*net, eta) * eta.square()

    grid = torch.linspace(0, 1, 41, dtype=torch.float64) * largest_step(*net)
    assert gain(best_step(*net)) >= 0.999 * torch.stack([gain(eta) for eta in grid]).max()


def violations(seed: int, mu_times: float, K_times: float, steps: int = 300) -> int:
    """Steps of a run with the best step that break F_{t+1} ≤ ρ_t F_t, for constants that are scaled."""
    net = network(seed, SCALES[seed % 5], SCALES[(seed // 5) % 5])
    broken = 0
    for _ in range(steps):
        eta = best_step(*net) / K_times
        mu, K = constants(net, best_step(*net))
        before = excess(*net)
        if before < 1e-18:
            break
        net = step(*net, eta)
        broken += bool(excess(*net) > contraction(mu_times * mu, K_times * K, eta) * before * (1 + 1e-9))
    return broken


def test_no_step_of_whole_runs_breaks_the_promise_and_wrong_constants_do() -> None:
    seeds = range(0, 25, 6)
    assert sum(violations(seed, 1.0, 1.0, 60) for seed in seeds) == 0
    assert sum(violations(seed, 3.0, 1.0, 60) > 0 for seed in seeds) >= 4
    assert sum(violations(seed, 1.0, 1 / 3, 60) > 0 for seed in seeds) >= 2


@pytest.mark.slow
def test_the_same_for_long_runs_from_all_scales() -> None:
    seeds = range(25)
    assert sum(violations(seed, 1.0, 1.0) for seed in seeds) == 0
    assert sum(violations(seed, 3.0, 1.0) > 0 for seed in seeds) >= 20
    assert sum(violations(seed, 1.0, 1 / 3) > 0 for seed in seeds) >= 10


def promised_and_left(seed: int, steps: int) -> tuple[float, float]:
    """Product of the promised factors of a run, and its final excess loss over the first."""
    net = network(seed, SCALES[seed % 5], SCALES[(seed // 5) % 5])
    start, promised = excess(*net), torch.ones((), dtype=torch.float64)
    for _ in range(steps):
        eta = best_step(*net)
        promised = promised * contraction(*constants(net, eta), eta)
        net = step(*net, eta)
        if promised < 1e-6:
            break
    return float(promised), float(excess(*net) / start)


@pytest.mark.parametrize("seed", [0, 6, 18])
def test_a_run_ends_below_the_product_of_its_factors(seed: int) -> None:
    promised, left = promised_and_left(seed, 300)
    assert left <= promised * (1 + 1e-6)
    assert promised < 0.9


@pytest.mark.slow
def test_runs_converge_linearly_from_every_scale() -> None:
    """In 2,000 steps the promise itself goes to a millionth for at least 22 of 25 initialisations."""
    runs = [promised_and_left(seed, 2_000) for seed in range(25)]
    assert all(left <= promised * (1 + 1e-6) for promised, left in runs)
    assert sum(promised < 1e-6 for promised, _ in runs) >= 22
