"""100,000 random projected steps at the certified bound: none may raise the loss."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from lrpilot.theory import NMFBound

EXAMPLES, BATCH = 100, 1_000


def random_states(seed: int, m: int, n: int, r: int, log_scale: float) -> tuple[Tensor, Tensor, Tensor]:
    """States of every kind side by side: far from and near minima, unbalanced, with zeros in the factors."""
    rng = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(BATCH, *shape, generator=rng, dtype=torch.float64)

    imbalance = 10 ** (4 * uniform(1, 1) - 2)
    W = uniform(m, r) * imbalance * (uniform(m, r) > 0.5 * uniform(1, 1))
    H = uniform(r, n) / imbalance * (uniform(r, n) > 0.5 * uniform(1, 1))
    distance = 10 ** (6 * uniform(1, 1) - 5)  # of X from WH, from 1e-5 to 10
    X = (W @ H + distance * (2 * uniform(m, n) - 1)).clamp_min(0)
    scale = 10**log_scale
    return W * scale**0.5, H * scale**0.5, X * scale


def check_no_step_raises_the_loss(states: tuple[Tensor, Tensor, Tensor], multiple: float) -> None:
    """Every step at this multiple of the bound keeps ½‖WH − X‖² from rising by more than rounding."""
    W, H, X = states
    eta = multiple * NMFBound(W, H, X)()[:, None, None]
    R = W @ H - X
    after = (W - eta * R @ H.mT).clamp_min(0) @ (H - eta * W.mT @ R).clamp_min(0) - X
    before_sq, after_sq = R.square().sum((-2, -1)), after.square().sum((-2, -1))
    product_sq = (W @ H).square().sum((-2, -1))
    rounding = (
        1e-12 * before_sq + 1e-14 * (before_sq * product_sq).sqrt() + 1e-30 * product_sq
    )  # of R = WH − X, squared
    raised = after_sq > before_sq + rounding
    assert not raised.any(), f"{int(raised.sum())} of {BATCH} steps raised the loss"


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    seed=st.integers(0, 2**31),
    m=st.integers(1, 12),
    n=st.integers(1, 12),
    r=st.integers(1, 5),
    log_scale=st.floats(-6, 6),
)
def test_no_step_at_the_bound_raises_the_loss(seed: int, m: int, n: int, r: int, log_scale: float) -> None:
    check_no_step_raises_the_loss(random_states(seed, m, n, r, log_scale), 1.0)


@pytest.mark.parametrize("seed", range(10))
def test_three_times_the_bound_fails_the_same_check(seed: int) -> None:
    with pytest.raises(AssertionError, match="steps raised the loss"):
        check_no_step_raises_the_loss(random_states(seed, 3 + seed % 5, 4 + seed % 7, 1 + seed % 4, seed - 5.0), 3.0)
