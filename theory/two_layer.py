"""Step rule for two-layer linear networks of finite width, from any initialisation: every step contracts the loss.

Letters: X (n, d) the inputs, Y (n, m) the targets, W1 (d, h) and W2 (h, m) the weights, R = X W1 W2 − Y,
G = (G1, G2) = (XᵀRW2ᵀ, W1ᵀXᵀR) the gradient of L(W1, W2) = ½‖R‖²_F, g = ‖G‖_F, σ₁ = ‖·‖₂. With P the projection on
the column space of X, E = PR is what the network can still remove: F = ½‖E‖² = L − ½‖(I − P)Y‖² is the excess loss.

The rule has the form of Xu, Min, Tarmoun, Mallada and Vidal (AISTATS 2023, PMLR 206:2262; arXiv 2505.11664):

    F_{t+1} ≤ (1 − 2μη + μKη²) F_t    for a local PL constant μ, a local smoothness K along the step, ηK < 2.

The constants are not theirs: μ is the exact smallest eigenvalue of the network's tangent kernel, and K is that of
`nmf.segment_bound`. LRs are per step.
"""

import torch
from torch import Tensor

from lrpilot.theory.nmf import NEWTON_STEPS, segment_bound


def local_pl(W1: Tensor, W2: Tensor, X: Tensor) -> Tensor:
    """Largest μ with ½‖G‖² ≥ μF for every Y: the smallest eigenvalue of the tangent kernel on the range of X.

        μ = λ_min( Uᵀ X (W1W1ᵀ + s I) Xᵀ U ),   s = λ_min(W2ᵀW2),   U an orthonormal basis of the range of X.

    Proof. XᵀR = XᵀE, so ‖G‖² = ‖XᵀEW2ᵀ‖² + ‖W1ᵀXᵀE‖² = ⟨E, 𝒦E⟩ with 𝒦E = XXᵀE W2ᵀW2 + XW1W1ᵀXᵀ E, which maps
    matrices E = PE to such. In the eigenvectors v_j of W2ᵀW2, with eigenvalues s_j, it acts on the column Ev_j as
    X(s_j I + W1W1ᵀ)Xᵀ, whose smallest eigenvalue grows with s_j. So ⟨E, 𝒦E⟩ ≥ μ‖E‖² = 2μF, with equality for one E.

    It is positive if W1 has full row rank (h ≥ d) or W2 full column rank (h ≥ m); for narrower networks it can be 0.

    Args:
        W1: Shape (d, h).
        W2: Shape (h, m).
        X: Shape (n, d), not zero.

    Returns:
        μ ≥ 0, shape (), in the inverse unit of an LR.

    Example:
        >>> local_pl(2 * torch.eye(2), torch.eye(2), torch.eye(2))
        tensor(5.)
    """
    smallest: Tensor = torch.linalg.eigvalsh(_kernel(W1, torch.linalg.eigvalsh(W2.mT @ W2)[0], X))[0]
    return smallest.clamp_min(0)


def step_smoothness(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor, eta: Tensor | float) -> Tensor:
    """K such that L(W − η'G) ≤ L(W) − η'‖G‖² + ½Kη'²‖G‖² for every η' in [0, η].

        K = ρ + (√S + σ₁(X)ηg/2)²,   ρ = ‖XᵀR‖₂,   S = λ_max( X (W1W1ᵀ + s I) Xᵀ ),   s = λ_max(W2ᵀW2).

    Proof. The residual is R − ηA + η²B with A = X(G1W2 + W1G2) and B = XG1G2, and ⟨R, A⟩ = ‖G‖². So exactly

        L(W − ηG) = L − η‖G‖² + η²(½‖A‖² + ⟨R, B⟩) − η³⟨A, B⟩ + ½η⁴‖B‖².

    A = JG with JJᵀ = 𝒦 (see `local_pl`), whose largest eigenvalue is S: ‖A‖ ≤ √S g. ‖B‖ ≤ σ₁(X)‖G1‖‖G2‖ ≤ σ₁(X)g²/2,
    and |⟨R, B⟩| = |⟨XᵀR, G1G2⟩| ≤ ρ‖G1G2‖_* ≤ ρg²/2. Put together, the terms from η² on are at most
    ½η²g²(S + ρ + √S σ₁(X)ηg + ¼σ₁(X)²η²g²) = ½η²g²K, and K grows with η.

    Args:
        W1: Shape (d, h).
        W2: Shape (h, m).
        X: Shape (n, d).
        Y: Shape (n, m).
        eta: Length of the step η, an LR.

    Returns:
        K, shape (), in the inverse unit of an LR.

    Example:
        >>> one = torch.ones(1, 1)
        >>> round(float(step_smoothness(one, one, one, one, 0.3)), 4)  # nothing to learn: S = 2 alone
        2.0
    """
    root_curvature, rho, reach = _segment(W1, W2, X, Y)
    return rho + (root_curvature + reach * eta).square()


def contraction(mu: Tensor, K: Tensor, eta: Tensor) -> Tensor:
    """Factor 1 − 2μη + μKη² by which a step shrinks the excess loss at least, for ηK ≤ 2.

    Proof. F(W − ηG) ≤ F − η(1 − ½Kη)‖G‖² by `step_smoothness`, and ‖G‖² ≥ 2μF by `local_pl`. The bracket is not
    negative for ηK ≤ 2, so F(W − ηG) ≤ F − 2μη(1 − ½Kη)F.

    It lies in [0, 1] for 0 ≤ ηK ≤ 2, as μ ≤ S ≤ K. A run converges linearly for as long as it stays below some
    ρ < 1; the authors cited above prove that it does where the initial loss is small against the initial imbalance
    of the layers. Here it is known step by step.

    Args:
        mu: μ of `local_pl`, shape (...).
        K: K of `step_smoothness` for this η, shape (...).
        eta: η, an LR per step, shape (...).

    Returns:
        The factor, shape (...).

    Example:
        >>> contraction(torch.tensor(1.0), torch.tensor(2.0), torch.tensor(0.5))
        tensor(0.5000)
    """
    return 1 - 2 * mu * eta + mu * K * eta.square()


def largest_step(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor) -> Tensor:
    """Largest η with ηK(η) ≤ 2: a step up to it never raises the loss.

    Args:
        W1: Shape (d, h).
        W2: Shape (h, m).
        X: Shape (n, d).
        Y: Shape (n, m).

    Returns:
        The LR per step, shape ().

    Example:
        >>> one = torch.ones(1, 1)
        >>> round(float(largest_step(one, one, one, one)), 4)
        1.0
    """
    root_curvature, rho, reach = _segment(W1, W2, X, Y)
    return segment_bound(root_curvature.square(), rho, 2 * reach)


def best_step(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor) -> Tensor:
    """The η with the smallest `contraction`, the root of η(ρ + (√S + cη)(√S + 2cη)) = 1 with c = σ₁(X)g/2.

    It is the stationary point of 2η − K(η)η², K as in `step_smoothness`, and does not depend on μ. Newton's method
    comes from above; should it stop early the step is a little longer than the best, and as valid.

    Args:
        W1: Shape (d, h).
        W2: Shape (h, m).
        X: Shape (n, d).
        Y: Shape (n, m).

    Returns:
        The LR per step, shape (); near a minimum 1/(S + ρ), half of `largest_step`.

    Example:
        >>> one = torch.ones(1, 1)
        >>> best_step(one, one, one, one)
        tensor(0.5000)
    """
    root_curvature, rho, reach = _segment(W1, W2, X, Y)
    eta = 1 / (root_curvature.square() + rho)
    for _ in range(NEWTON_STEPS):
        near, far = root_curvature + reach * eta, root_curvature + 2 * reach * eta
        slope = rho + near * far + eta * reach * (far + 2 * near)
        eta = eta - (eta * (rho + near * far) - 1) / slope
    return torch.minimum(eta, largest_step(W1, W2, X, Y))


def _kernel(W1: Tensor, s: Tensor, X: Tensor) -> Tensor:
    """Uᵀ X (W1W1ᵀ + sI) Xᵀ U with U the left singular vectors of X that belong to its range."""
    _, sizes, Vh = torch.linalg.svd(X, full_matrices=False)
    kept = sizes > sizes[0] * max(X.shape) * torch.finfo(X.dtype).eps
    scaled = sizes[kept, None] * Vh[kept]  # Uᵀ X
    through = scaled @ W1
    return through @ through.mT + s * scaled @ scaled.mT


def _segment(W1: Tensor, W2: Tensor, X: Tensor, Y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """√S, ρ and σ₁(X)g/2 of `step_smoothness`."""
    pulled = X.mT @ (X @ W1 @ W2 - Y)
    gradient_sq = (pulled @ W2.mT).square().sum() + (W1.mT @ pulled).square().sum()
    curvature = torch.linalg.eigvalsh(_kernel(W1, torch.linalg.eigvalsh(W2.mT @ W2)[-1], X))[-1]
    reach = torch.linalg.matrix_norm(X, 2) * gradient_sq.sqrt() / 2
    return curvature.clamp_min(0).sqrt(), torch.linalg.matrix_norm(pulled, 2), reach
