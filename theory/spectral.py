"""Certified upper bounds on the largest singular value, fast enough for every SGD step.

Power iteration approaches the largest singular value from *below*, so it can't certify stability. Both
functions here return numbers that are never below the true value (rounding apart), whatever their input.
"""

import torch
from torch import Tensor

SQUARINGS = 4  # trace powers up to 2^4 = 16: at most r^(1/16) above the true value, far less if one dominates


def gram_norm_bound(gram: Tensor, squarings: int = SQUARINGS) -> Tensor:
    """Upper bound on the largest eigenvalue of a small positive semidefinite matrix, by trace powers.

    With eigenvalues λ₁ ≥ … ≥ λ_r ≥ 0 and p = 2^squarings,

        λ₁ ≤ (Σᵢ λᵢᵖ)^(1/p) = (tr Gᵖ)^(1/p) ≤ r^(1/p) · λ₁,

    and Gᵖ takes `squarings` multiplications. Each square is divided by its trace, so nothing overflows.

    Args:
        gram: Positive semidefinite matrices, shape (..., r, r), in squared units of the factor.
        squarings: How often to square; each one takes the square root of the looseness factor.

    Returns:
        The bounds, shape (...), same units as `gram`; 0 for a zero matrix.

    Example:
        >>> round(float(gram_norm_bound(torch.diag(torch.tensor([4.0, 1.0])))), 4)
        4.0
    """
    power = gram
    log_norm = torch.zeros(gram.shape[:-2], dtype=gram.dtype, device=gram.device)
    for halvings in range(squarings + 1):
        trace = power.diagonal(dim1=-2, dim2=-1).sum(-1).clamp_min(torch.finfo(gram.dtype).tiny)
        log_norm = log_norm + trace.log() / 2**halvings
        power = power / trace[..., None, None]
        if halvings < squarings:
            power = power @ power
    return log_norm.exp()


def norm_bound(matrix: Tensor, start: Tensor, frobenius_sq: Tensor) -> tuple[Tensor, Tensor]:
    """Upper bound on ‖A‖₂ from warm-started power iteration, certified by the Frobenius norm.

    For unit vectors u = Av/‖Av‖ and v, complete both to orthonormal bases. In these bases

        A = [[σ, cᵀ], [0, E]],   σ = ‖Av‖,   ‖c‖² = ‖Aᵀu‖² − σ²,   ‖E‖₂² ≤ ‖E‖_F² = ‖A‖_F² − σ² − ‖c‖²,

    and the norm of a block matrix is at most the norm of the 2×2 matrix of its blocks' norms. A start that
    is not yet close to the top singular vector makes the bound looser, never wrong.

    Args:
        matrix: A, shape (..., m, n).
        start: v, shape (..., n); need not be normalised. The last call's second result is a warm start.
        frobenius_sq: ‖A‖_F², shape (...), which callers have at hand.

    Returns:
        The bound on ‖A‖₂, shape (...), never above ‖A‖_F; and Aᵀu, one power iteration on, shape (..., n).

    Example:
        >>> A, v = torch.diag(torch.tensor([3.0, 1.0])), torch.ones(2)
        >>> for _ in range(8):
        ...     bound, v = norm_bound(A, v, torch.tensor(10.0))
        >>> round(float(bound), 4)
        3.0
    """
    tiny = torch.finfo(matrix.dtype).tiny
    v = start / start.norm(dim=-1, keepdim=True).clamp_min(tiny)
    image = (v[..., None, :] @ matrix.mT)[..., 0, :]  # rows on the left: several times faster in batches
    sigma = image.norm(dim=-1)
    u = image / sigma[..., None].clamp_min(tiny)
    back = (u[..., None, :] @ matrix)[..., 0, :]
    coupling_sq = (back.square().sum(-1) - sigma.square()).clamp_min(0)
    rest_sq = (frobenius_sq - sigma.square() - coupling_sq).clamp_min(0)
    return _norm_of_triangle(sigma.square(), coupling_sq, rest_sq), back


def _norm_of_triangle(a_sq: Tensor, b_sq: Tensor, d_sq: Tensor) -> Tensor:
    """Largest singular value of [[a, b], [0, d]] from the squares of its entries, in closed form."""
    total = a_sq + b_sq + d_sq
    gap = (total.square() - 4 * a_sq * d_sq).clamp_min(0).sqrt()
    return ((total + gap) / 2).sqrt()
