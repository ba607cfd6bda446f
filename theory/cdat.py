"""Curvature dynamics aware tuning (CDAT): an LR from the slope and the curvature along the next update.

Roulet, Agarwala, Grill, Swirszcz, Blondel and Pedregosa 2024, arXiv 2407.06183. The inputs come from
`curvature.slope_and_curvature`.
"""

from torch import Tensor


def cdat_lr(slope: Tensor, curvature: Tensor, scale: float = 2.0, epsilon: float = 0.0) -> Tensor:
    """LR per step at which the quadratic model along an update u is at its edge, times scale / 2.

        η = σ · max(−gᵀu, 0) / (|uᵀHu| + ε)

    On a quadratic with uᵀHu > 0 and ε = 0, f(x + ηu) − f(x) = η gᵀu + ½η² uᵀHu: σ = 1 is its minimiser, and with
    σ = 2 f comes back to where it was: the edge. For u = −g these are ‖g‖²/gᵀHg and twice that. It is the edge along
    u alone: on a quadratic 2‖g‖²/gᵀHg lies above 2/λ_max, unless g is the top eigenvector. Where the curvature
    is negative its modulus takes its place, as in the paper, though the model has no edge there.

    The paper averages numerator and denominator over steps when gradients are noisy; feed averages for that.

    Args:
        slope: gᵀu, shape (...), in units of loss over LR.
        curvature: uᵀHu, shape (...), in units of loss over LR².
        scale: σ, 1 for the greedy step, 2 for the edge.
        epsilon: ε, in the unit of the curvature; keeps flat directions finite, where 0 gives infinity
            (NaN if the slope is 0 too).

    Returns:
        The LR, shape (...), ≥ 0; 0 along an ascent direction.

    Example:
        f = ½(x² + 3y²) at (1, 1) along −g: gᵀu = −10 and uᵀHu = 28.

        >>> import torch
        >>> cdat_lr(torch.tensor(-10.0), torch.tensor(28.0), scale=1.0)
        tensor(0.3571)
    """
    return scale * (-slope).clamp_min(0) / (curvature.abs() + epsilon)
