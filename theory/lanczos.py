"""Largest eigenvalue of symmetric matrices that are known by their products alone, many side by side."""

import math
from collections.abc import Callable

import torch
from torch import Tensor


def largest_eigenvalue(product: Callable[[Tensor], Tensor], start: Tensor, products: int = 30) -> tuple[Tensor, Tensor]:
    """Largest (algebraic) eigenvalue of each A, by Lanczos' method with full reorthogonalisation.

    With V the orthonormal basis of span(v, Av, …, A^(k−1) v), k = products,

        θ = λ_max(Vᵀ A V) ≤ λ_max(A),

    with equality for k = P. No vector of that space has a larger Rayleigh quotient, so a power iteration of as many
    products never comes closer; and it is the largest eigenvalue that is found, not the one of largest modulus,
    so negative spectra need no shift. θ is a bound from *below*: an LR of 2/θ may be a little too large.

    Where the space is exhausted early (v in an invariant subspace), it goes on with a fixed random direction.
    Memory: k vectors for each matrix.

    Args:
        product: v ↦ Av for symmetric A of shape (..., P, P), both ways shape (..., P).
        start: v ≠ 0, shape (..., P); need not be normalised. The last call's vectors are a warm start.
        products: k ≥ 1, how often to call `product`; at most P are made.

    Returns:
        θ, shape (...), NaN where a product is not finite; and its unit Ritz vectors, shape (..., P).

    Raises:
        ValueError: `products` is below 1.

    Example:
        >>> A = torch.diag(torch.tensor([-5.0, 1.0, 2.0]))
        >>> value, vector = largest_eigenvalue(lambda v: v @ A, torch.ones(3))
        >>> round(float(value), 4), [round(abs(float(entry)), 4) for entry in vector]
        (2.0, [0.0, 0.0, 1.0])
    """
    if products < 1:
        raise ValueError(f"products must be at least 1, not {products}")
    count = min(products, start.shape[-1])
    rng = torch.Generator().manual_seed(0)
    projected = start.new_zeros(*start.shape[:-1], count, count)
    scale = start.new_zeros(start.shape[:-1])
    basis = _unit(start)[..., None, :]  # (..., k, P)
    for k in range(count):
        image = product(basis[..., k, :])
        along = (basis @ image[..., None])[..., 0]
        projected[..., : k + 1, k] = along
        scale = torch.maximum(scale, image.norm(dim=-1))
        if k + 1 < count:
            fresh = _orthogonal(image, basis)
            exhausted = fresh.norm(dim=-1) <= 64 * torch.finfo(start.dtype).eps * scale
            if exhausted.any():
                other = torch.randn(start.shape[-1], generator=rng).to(start).expand_as(start)
                fresh = torch.where(exhausted[..., None], _orthogonal(other, basis), fresh)
            basis = torch.cat([basis, _unit(_orthogonal(_unit(fresh), basis))[..., None, :]], -2)
    finite = projected.isfinite().all(-1).all(-1)
    values, vectors = torch.linalg.eigh(torch.where(finite[..., None, None], projected, 0.0), UPLO="U")
    top: Tensor = (vectors[..., :, -1][..., None, :] @ basis)[..., 0, :]
    return torch.where(finite, values[..., -1], math.nan), _unit(top)


def _unit(vector: Tensor) -> Tensor:
    norm: Tensor = vector.norm(dim=-1, keepdim=True)
    return vector / norm.clamp_min(torch.finfo(vector.dtype).tiny)


def _orthogonal(vector: Tensor, basis: Tensor) -> Tensor:
    along = basis @ vector[..., None]  # (..., k, 1)
    return vector - (along.mT @ basis)[..., 0, :]
