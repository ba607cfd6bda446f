"""Largest stable LR of mini-batch SGD on a linearised network, where the Hessian never changes.

Letters: f(x; w) ≈ f₀(x) + J(x)(w − w₀) is the network to first order around w₀ (LQF: Achille et al., CVPR 2021,
arXiv 2012.11140). N examples with C outputs each give n = N·C residuals r = f − y, the Jacobian J (n, P) and the
kernel K = JJᵀ (n, n), the finite-width neural tangent kernel. The loss is (1/2N)‖r‖² + (λ/2)‖w − w₀‖², its Hessian
A + λ with A = JᵀJ/N; a mini-batch S of b examples has A_S = (1/b) Σ_{i∈S} J_iᵀJ_i, J_i (C, P) the rows of example i.
"""

import numpy as np
import torch
from torch import Tensor

from lrpilot.arrays import Floats


def minibatch_smoothness(kernel: Tensor, example: Tensor, batch: Tensor, weight_decay: Tensor | float = 0.0) -> Tensor:
    """Constant L such that SGD on mini-batches is stable in mean square for every LR up to 2/L.

        L = λ_max( c₁ · blockdiag(K) + c₂ · K/N ) + λ,   c₁ = (N − b)/(b(N − 1)),   c₂ = N(b − 1)/(b(N − 1)),

    where blockdiag keeps the (C, C) blocks of single examples. For the full batch (b = N) it is exactly
    λ_max(K)/N + λ, the largest Hessian eigenvalue; for b = 1 it is the largest ‖K_ii‖₂ + λ.

    Proof. For b examples drawn without replacement E A_S² = c₁ · (1/N) Σ_i (J_iᵀJ_i)² + c₂ A², by counting pairs.
    With the thin singular value decomposition J = √N U Σ Vᵀ, A = V Σ² Vᵀ, and in the coordinates Vᵀ
    Σ⁻¹ (E A_S²) Σ⁻¹ = Uᵀ (c₁ blockdiag(K) + c₂ K/N) U ≼ (L − λ) I; so E A_S² ≼ (L − λ) A. Hence, as
    (L − λ)λ ≥ λA,  E (A_S + λ)² ≼ (L − λ)A + 2λA + λ² ≼ L(A + λ). Let z be the distance from a minimum where all
    gradients vanish. Then E‖z − η(A_S + λ)z‖² ≤ ‖z‖² − η(2 − ηL) zᵀ(A + λ)z ≤ ‖z‖² for η ≤ 2/L. Where the
    gradients at the minimum don't vanish, they add their variance times η² and no more.

    A single step may still go away from the minimum: the statement is about the mean over mini-batches.

    Args:
        kernel: K = JJᵀ, shape (..., n, n), in squared units of output over weight. Rows of zeros may pad it.
        example: Which example a row belongs to, 0 … N − 1, shape (..., n); −1 on padding.
        batch: b, examples in a mini-batch, 1 … N, shape (...).
        weight_decay: λ, same units as K, shape (...).

    Returns:
        L, shape (...); the LR bound 2/L is per step.

    Example:
        >>> K, one_each = torch.diag(torch.tensor([4.0, 2.0])), torch.tensor([0, 1])
        >>> [float(minibatch_smoothness(K, one_each, torch.tensor(b))) for b in (1, 2)]
        [4.0, 2.0]
    """
    examples = example.amax(-1).to(kernel.dtype) + 1  # (...)
    size = batch.to(kernel.dtype)
    others = (examples - 1).clamp_min(1)  # a single example is always the full batch: c₁ = 0, c₂ = 1
    alone = (examples - size) / (size * others)
    together = torch.where(examples > 1, examples * (size - 1) / (size * others), torch.ones_like(size))
    same = example[..., :, None] == example[..., None, :]
    mixed = alone[..., None, None] * kernel * same + (together / examples)[..., None, None] * kernel
    largest: Tensor = torch.linalg.eigvalsh(mixed)[..., -1]
    return largest + weight_decay


def chebyshev_steps(smallest: float, largest: float, count: int) -> Floats:
    """The LRs that minimise the worst error of gradient descent on a noise-free quadratic after `count` steps.

        η_t = 2 / (ℓ + s + (ℓ − s) cos((2t + 1)π / 2T)),   t = 0 … T − 1.

    After them every error component with curvature in [s, ℓ] has shrunk at least by `chebyshev_rate`, and no other
    T step sizes promise more (Young 1953; d'Aspremont, Scieur, Taylor 2021, arXiv 2101.09545, section 2). Single
    steps exceed 2/ℓ, up to 1/s; they come in Leja's order, in which rounding errors don't grow.

    Args:
        smallest: s > 0, smallest eigenvalue of the Hessian.
        largest: ℓ ≥ s, largest eigenvalue.
        count: T, number of steps.

    Returns:
        The LRs, per step, in the order to use them, shape (T,).

    Raises:
        ValueError: The eigenvalues are not 0 < smallest <= largest, or count < 1.

    Example:
        >>> chebyshev_steps(1.0, 3.0, 1)
        array([0.5])
    """
    if not (0 < smallest <= largest and count >= 1):
        raise ValueError(f"0 < smallest <= largest and count >= 1 must hold, not {smallest}, {largest}, {count}")
    roots = np.cos((2 * np.arange(count) + 1) * np.pi / (2 * count))
    order: list[int] = []
    distance = roots  # the first root is the largest, so the first LR the smallest
    with np.errstate(divide="ignore"):  # a root that is taken is at distance −∞
        while len(order) < count:
            order.append(int(np.argmax(distance)))
            logs = np.log(np.abs(roots - roots[order[-1]]))
            distance = logs if len(order) == 1 else distance + logs
    return 2 / (largest + smallest + (largest - smallest) * roots[order])


def chebyshev_rate(smallest: float, largest: float, count: int) -> float:
    """Largest factor that is left of any error component after `chebyshev_steps`: 1 / T_T((ℓ + s)/(ℓ − s)).

    T_T is the Chebyshev polynomial; f − f* shrinks at least by the square of the factor.

    Args:
        smallest: s > 0, smallest eigenvalue of the Hessian.
        largest: ℓ ≥ s, largest eigenvalue.
        count: T, number of steps.

    Returns:
        The factor, in [0, 1].

    Example:
        >>> round(chebyshev_rate(1.0, 3.0, 1), 12)
        0.5
    """
    if smallest == largest:
        return 0.0
    growth = count * np.arccosh((largest + smallest) / (largest - smallest))
    return float(1 / np.cosh(min(growth, 700.0)))
