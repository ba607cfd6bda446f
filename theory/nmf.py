"""Largest stable learning rates of f(W, H) = ½‖WH − X‖²_F under projected SGD.

Letters, here and in `docs/theory.md`: X (m, n) is the data, W (m, r) and H (r, n) the factors, R = WH − X,
σ₁(·) = ‖·‖₂ the largest singular value, G = (RHᵀ, WᵀR) the gradient, g = ‖G‖_F, κ = n / columns in a batch.
LRs are per step and carry the unit 1 / [X] (the inverse of a smoothness constant).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from lrpilot.theory.spectral import gram_norm_bound, norm_bound

NEWTON_STEPS = 4


def block_smoothness(W: Tensor, H: Tensor) -> tuple[Tensor, Tensor]:
    """Exact Lipschitz constants of the two block gradients: σ₁(H)² for ∇_W f and σ₁(W)² for ∇_H f.

    Proof: ∇_W f(W + A) − ∇_W f(W) = AHHᵀ, a linear map of A with norm ‖HHᵀ‖₂ = σ₁(H)²; likewise for H.
    So a projected step in one block alone descends for every LR below 2 over its constant.

    Args:
        W: Left factor, shape (..., m, r).
        H: Right factor, shape (..., r, n).

    Returns:
        (σ₁(H)², σ₁(W)²), each of shape (...): the smoothness in W and the smoothness in H.

    Example:
        >>> block_smoothness(torch.eye(2), 3 * torch.eye(2))
        (tensor(9.), tensor(1.))
    """
    return torch.linalg.matrix_norm(H, ord=2).square(), torch.linalg.matrix_norm(W, ord=2).square()


def joint_smoothness(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    """Local bound λ_max(∇²f) ≤ σ₁(W)² + σ₁(H)² + ‖WH − X‖₂ on the joint Hessian; dense singular values.

    Proof: D²f[(A, B)] = ‖AH + WB‖² + 2⟨R, AB⟩. The first term is at most (σ₁(H)‖A‖ + σ₁(W)‖B‖)²
    ≤ (σ₁(W)² + σ₁(H)²)(‖A‖² + ‖B‖²) by Cauchy-Schwarz; the second at most 2‖R‖₂‖AB‖_*
    ≤ 2‖R‖₂‖A‖‖B‖ ≤ ‖R‖₂(‖A‖² + ‖B‖²). It is an equality where R = 0.

    It says what happens in a small neighbourhood, not what one whole step does: for that see `segment_bound`.

    Args:
        W: Left factor, shape (..., m, r).
        H: Right factor, shape (..., r, n).
        X: Data, shape (..., m, n).

    Returns:
        The bound on the largest Hessian eigenvalue, shape (...), in units of X.

    Example:
        >>> joint_smoothness(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1))
        tensor(2.)
    """
    in_W, in_H = block_smoothness(W, H)
    return in_W + in_H + torch.linalg.matrix_norm(W @ H - X, ord=2)


def segment_bound(curvature: Tensor, residual_norm: Tensor, gradient_norm: Tensor) -> Tensor:
    """Largest η for which one whole projected step along the gradient can't raise f.

    η is the root of  η · (ρ + (√S + ηg/2)²) = 2.

    Proof. Let D = (A, B) be the displacement of the projected step and d = ‖D‖. Projection onto a convex set
    gives ⟨G, D⟩ ≤ −d²/η and d ≤ ηg. f is a quartic along D, exactly:

        f(x + D) − f(x) = ⟨G, D⟩ + ½‖AH + WB‖² + ⟨R, AB⟩ + ⟨AH + WB, AB⟩ + ½‖AB‖²
                        ≤ −d²/η + ½S d² + ½ρ d² + ½√S d³ + ⅛d⁴            (‖AB‖ ≤ ‖A‖‖B‖ ≤ d²/2)
                        = −d² · [1/η − ½(ρ + (√S + d/2)²)]  ≤  0            for d ≤ ηg and η as above.

    With an error ε in the gradient (additive noise, d ≤ η‖G + ε‖) the same lines give
    f(x + D) − f(x) ≤ ‖ε‖d − d²·[…]: a step inside the bound raises f by at most ‖ε‖d.

    The left side is convex and increasing in η, so Newton's method from 2/(S + ρ) falls monotonically
    towards the root; the last line maps that upper estimate to one that is certainly not above the root.

    Args:
        curvature: S ≥ σ₁(W)² + σ₁(H)², shape (...), in units of X.
        residual_norm: ρ ≥ ‖WH − X‖₂, shape (...), in units of X.
        gradient_norm: g ≥ ‖G‖_F, shape (...), in units of X^(3/2).

    Returns:
        The largest such LR, shape (...); infinite where S = ρ = g = 0.

    Example:
        At a stationary point it is the classical 2/L:

        >>> one = torch.tensor(1.0)
        >>> segment_bound(one, one, 0 * one)
        tensor(1.)
    """
    tiny = torch.finfo(curvature.dtype).tiny
    root_curvature = curvature.sqrt()
    eta = 2 / (curvature + residual_norm).clamp_min(tiny)
    for _ in range(NEWTON_STEPS):
        reach = root_curvature + eta * gradient_norm / 2
        value = eta * (residual_norm + reach.square()) - 2
        slope = residual_norm + reach.square() + eta * gradient_norm * reach
        eta = eta - value / slope.clamp_min(tiny)
    return 2 / (residual_norm + (root_curvature + eta * gradient_norm / 2).square()).clamp_min(tiny)


class NMFBound:
    """The current largest stable LR of a factorisation: the `bound` of `LearnedLR`.

    Every call reads W and H as they are now and returns `certified_bound`: a step with an LR up to it can't
    raise the loss on its batch. Cost: about one more gradient of that batch a call.

    Args:
        W: Left factor, shape (..., m, r); read anew at each call.
        H: Right factor, shape (..., r, n); read anew at each call.
        X: Data, shape (..., m, n).
        columns: Returns the indices S of the *next* mini-batch, whose loss is (n/|S|) · ½‖(WH − X)_S‖²; so draw
            it before `scheduler.step`. None for full batches.

    Raises:
        ValueError: The shapes don't fit together.

    Example:
        >>> W, H = torch.ones(4, 2), torch.ones(2, 3)
        >>> lr = NMFBound(W, H, X=W @ H)()
        >>> round(float(lr) * (8 + 6), 3)  # 2 / (σ₁(W)² + σ₁(H)²) at an exact factorisation
        2.0
    """

    def __init__(self, W: Tensor, H: Tensor, X: Tensor, columns: Callable[[], Tensor] | None = None) -> None:
        if W.shape[-1] != H.shape[-2] or (W.shape[-2], H.shape[-1]) != tuple(X.shape[-2:]):
            raise ValueError(f"W {tuple(W.shape)} times H {tuple(H.shape)} does not give X {tuple(X.shape)}")
        self.W, self.H, self.X = W, H, X
        self._samples = X.mT.contiguous()  # columns in one piece: drawing some is many times faster
        self._columns = columns
        self._direction = torch.ones(X.shape[:-1], dtype=X.dtype, device=X.device)

    @torch.no_grad()
    def __call__(self) -> Tensor:
        """Return the bound now, shape (...): the LR per step up to which the next step is safe."""
        H, X = self.H, self.X
        if self._columns is not None:
            batch = self._columns()
            H, X = H[..., batch], self._samples.index_select(-2, batch).mT
        R = self.W @ H - X
        R_sq = torch.linalg.vector_norm(R.flatten(-2), dim=-1).square()
        gradient_sq = (R @ H.mT).square().sum((-2, -1)) + (self.W.mT @ R).square().sum((-2, -1))
        eta, self._direction = certified_bound(self.W, H, R, R_sq, gradient_sq.sqrt(), self._direction)
        return eta * (X.shape[-1] / self.X.shape[-1])


def certified_bound(
    W: Tensor, H: Tensor, R: Tensor, R_sq: Tensor, gradient_norm: Tensor, direction: Tensor
) -> tuple[Tensor, Tensor]:
    """`segment_bound` from norms that are certainly not too small.

    For a mini-batch S of columns pass H_S and R_S (or H and R with the other columns zero). Its loss
    κ·½‖WH_S − X_S‖² is κ times that of a full-batch problem, so its largest stable LR is this one over κ.

    Args:
        W: Left factor, shape (..., m, r).
        H: Right factor, shape (..., r, n).
        R: Residual WH − X, shape (..., m, n).
        R_sq: ‖R‖²_F, shape (...), which callers have at hand.
        gradient_norm: ‖(RHᵀ, WᵀR)‖_F, shape (...).
        direction: Warm start of the power iteration on R, shape (..., m).

    Returns:
        The largest stable LR, shape (...), and the next warm start, shape (..., m).

    Example:
        At an exact factorisation it is 2 / (σ₁(W)² + σ₁(H)²):

        >>> W, H, zero = torch.ones(4, 1), torch.ones(1, 4), torch.tensor(0.0)
        >>> lr, _ = certified_bound(W, H, torch.zeros(4, 4), zero, zero, torch.ones(4))
        >>> round(float(lr), 4)
        0.25
    """
    R_norm, direction = norm_bound(R.mT, direction, R_sq)
    grams = gram_norm_bound(torch.stack([W.mT @ W, H @ H.mT]))
    return segment_bound(grams[0] + grams[1], R_norm, gradient_norm), direction
