"""How sharply a network's loss bends: λ_max of its Hessian, and batch sharpness for mini-batch SGD.

Gradient descent with a constant LR η raises the sharpness until it hovers at 2/η (Cohen et al. 2021, arXiv
2103.00065); mini-batch SGD does so with the batch sharpness (Andreyev and Beneventano, arXiv 2412.20553).
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lrpilot.theory.curvature import LossFunction, gradient_and_hessian, slope_and_curvature

DENSE = 20  # Lanczos' method spans as many dimensions before its first restart


def sharpness(loss_fn: LossFunction, parameters: Sequence[Tensor], tolerance: float = 1e-6) -> float:
    """Largest (algebraic) eigenvalue λ_max(H) of the Hessian of a loss, by Lanczos' method.

    On the quadratic model, gradient descent is unstable for every LR above 2/λ_max.

    Cost: about two gradient evaluations for each Hessian-vector product; how many there are depends on the gap below
    λ_max (22 to 32 on 25 networks of 69 to 423 parameters). The start is fixed, so the result is too.

    Args:
        loss_fn: Returns the loss with its graph, shape (); the same function of the parameters at every call.
        parameters: The tensors to differentiate by, P entries together.
        tolerance: Relative accuracy of the eigenvalue.

    Returns:
        λ_max, in units of loss over parameter²; negative where the loss is concave, NaN where it is not finite.

    Example:
        >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> sharpness(lambda: x[0] ** 2 - 4 * x[1] ** 2, [x])
        2.0
    """
    gradient, product = gradient_and_hessian(loss_fn, parameters)
    if not gradient.isfinite().all():
        return math.nan
    count = gradient.numel()
    if count <= DENSE:
        hessian = torch.stack([product(column) for column in torch.eye(count).to(gradient)])
        return float(torch.linalg.eigvalsh(hessian)[-1])

    def matvec(vector: Any) -> Any:
        return product(torch.as_tensor(vector.reshape(-1)).to(gradient)).double().cpu().numpy()

    from scipy.sparse.linalg import LinearOperator, eigsh

    operator = LinearOperator((count, count), matvec=matvec, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(count)
    if not matvec(start).any():  # a random vector's image is zero only if H is; ARPACK refuses that
        return 0.0
    values = eigsh(operator, k=1, which="LA", v0=start, tol=tolerance, return_eigenvectors=False)
    return float(values[0])


def batch_sharpness(losses: Iterable[LossFunction], parameters: Sequence[Tensor]) -> float:
    """Mean over mini-batches S of the curvature that each meets along its own gradient: E[g_Sᵀ H_S g_S / ‖g_S‖²].

    The ratio is inside the expectation, and H_S is the Hessian of the mini-batch: the definition in arXiv
    2412.20553. The ratio of the expectations, E[g_Sᵀ H_S g_S] / E‖g_S‖², is another number: there, batches with a
    large gradient count for more. Every ratio lies between λ_min and λ_max of H_S.

    Cost: three to four gradient evaluations for each mini-batch.

    Args:
        losses: One function for each mini-batch; returns its loss with the graph, shape ().
        parameters: The tensors to differentiate by, P entries together.

    Returns:
        The batch sharpness, in units of loss over parameter². A batch without a gradient makes no step and is left
        out; NaN if there is no other.

    Example:
        Curvatures 1 and 3, each met along one axis:

        >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> batch_sharpness([lambda: x[0] ** 2 / 2, lambda: 3 * x[1] ** 2 / 2], [x])
        2.0
    """
    ratios = []
    for loss_fn in losses:
        slope, curvature = slope_and_curvature(loss_fn, parameters)  # along −g: −‖g‖² and gᵀHg
        if slope != 0:
            ratios.append(float(curvature / -slope))
    return sum(ratios) / len(ratios) if ratios else math.nan
