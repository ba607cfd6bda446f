"""Slow references: explicit Hessians and exact singular values. Tests compare the fast paths with these."""

import torch
from torch import Tensor


def nmf_hessian(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    """Dense Hessian of ½‖WH − X‖²_F over (vec W, vec H), row-major.

    Args:
        W: Left factor, shape (m, r).
        H: Right factor, shape (r, n).
        X: Data, shape (m, n).

    Returns:
        The Hessian, shape (r(m + n), r(m + n)).

    Example:
        >>> nmf_hessian(torch.ones(1, 1), torch.ones(1, 1), torch.ones(1, 1))
        tensor([[1., 1.],
                [1., 1.]])
    """
    m, r = W.shape
    n = H.shape[1]
    R = W @ H - X
    in_W = torch.kron(torch.eye(m, dtype=W.dtype), H @ H.mT)
    in_H = torch.kron(W.mT @ W, torch.eye(n, dtype=W.dtype))
    # ∂²f / ∂W_ik ∂H_lj = W_il H_kj + δ_kl R_ij
    mixed = torch.einsum("il,kj->iklj", W, H) + torch.einsum("kl,ij->iklj", torch.eye(r, dtype=W.dtype), R)
    mixed = mixed.reshape(m * r, r * n)
    return torch.cat([torch.cat([in_W, mixed], 1), torch.cat([mixed.mT, in_H], 1)], 0)


def nmf_segment_bound(W: Tensor, H: Tensor, X: Tensor) -> Tensor:
    """`segment_bound` from dense singular values, its root found by bisection.

    Args:
        W: Left factor, shape (m, r).
        H: Right factor, shape (r, n).
        X: Data, shape (m, n).

    Returns:
        The largest LR whose full projected step can't raise f, a scalar.

    Example:
        >>> one = torch.ones(1, 1)
        >>> round(float(nmf_segment_bound(one, one, one)), 4)
        1.0
    """
    R = W @ H - X
    S = float(torch.linalg.matrix_norm(W, 2) ** 2 + torch.linalg.matrix_norm(H, 2) ** 2)
    rho = float(torch.linalg.matrix_norm(R, 2))
    g = float((R @ H.mT).square().sum() + (W.mT @ R).square().sum()) ** 0.5
    low, high = 0.0, 2 / (S + rho)
    for _ in range(200):
        eta = (low + high) / 2
        if eta * (rho + (S**0.5 + eta * g / 2) ** 2) < 2:
            low = eta
        else:
            high = eta
    return torch.tensor(low, dtype=W.dtype)


def two_layer_kernel(W1: Tensor, W2: Tensor, X: Tensor) -> Tensor:
    """Dense tangent kernel of X W1 W2 over vec(X W1 W2), row-major: XXᵀ ⊗ W2ᵀW2 + XW1W1ᵀXᵀ ⊗ I.

    Args:
        W1: Shape (d, h).
        W2: Shape (h, m).
        X: Shape (n, d).

    Returns:
        The kernel, shape (nm, nm).

    Example:
        >>> two_layer_kernel(torch.ones(1, 1), 2 * torch.ones(1, 1), torch.ones(1, 1))
        tensor([[5.]])
    """
    hidden = X @ W1
    eye = torch.eye(W2.shape[1], dtype=W2.dtype)
    return torch.kron(X @ X.mT, W2.mT @ W2) + torch.kron(hidden @ hidden.mT, eye)
