"""The largest LR that still descends when only a noisy gradient is known."""

from __future__ import annotations

from torch import Tensor


def noise_aware_bound(bound: Tensor, gradient_sq: Tensor, variance: Tensor) -> Tensor:
    """Largest η for which E f decreases: bound · ‖g‖² / (‖g‖² + s²).

    Proof: with an unbiased gradient G + ε, E‖ε‖² = s², and smoothness L = 2 / bound along the step,
    E f(x − η(G + ε)) − f(x) ≤ −η‖g‖² + ½Lη²(‖g‖² + s²), which is negative iff η is below the value above.
    Followed greedily it is too timid to be a schedule (it optimises one step at a time); it is a guard.

    Args:
        bound: 2 / L, the largest stable LR without noise, shape (...).
        gradient_sq: ‖g‖², squared norm of the true gradient, shape (...).
        variance: s² = E‖ε‖², total variance of the stochastic gradient, shape (...), same units.

    Returns:
        The largest LR that descends in expectation, shape (...); 0 at a stationary point with noise.

    Example:
        >>> import torch
        >>> one = torch.tensor(1.0)
        >>> noise_aware_bound(one, one, 3 * one)
        tensor(0.2500)
    """
    return bound * gradient_sq / (gradient_sq + variance).clamp_min(1e-45)
