"""Gradient and Hessian of any torch loss as flat vectors and products: what `sharpness` and `cdat` are made of.

g is the gradient and H the Hessian of a loss with respect to P parameters, all of them in one flat vector. One
*gradient evaluation* is a forward and a backward pass over the data of the loss.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LossFunction = Callable[[], Tensor]
Product = Callable[[Tensor], Tensor]  # v (..., P) -> Hv (..., P)


def gradient_and_hessian(loss_fn: LossFunction, parameters: Sequence[Tensor]) -> tuple[Tensor, Product]:
    """Gradient of a loss and the map v ↦ Hv, by differentiating ⟨g, v⟩ once more; H itself is never formed.

    For B networks side by side, let every parameter have the shape (B, …) and the loss the shape (B,), entry b a
    function of the parameters [b] alone. Then the gradient of the sum holds all B gradients, and so for H.

    Cost: one to two gradient evaluations here, and about two more for each product. The graph lives as long as the
    product does.

    Args:
        loss_fn: Returns the loss with its graph, shape () or (B,).
        parameters: The tensors to differentiate by, P entries together (B·P for B networks).

    Returns:
        g, shape (P,) or (B, P), without graph; and the product, which takes and returns that shape.

    Example:
        f = x²y at (1, 3) has the Hessian [[6, 2], [2, 0]]:

        >>> x, y = torch.tensor(1.0, requires_grad=True), torch.tensor(3.0, requires_grad=True)
        >>> g, product = gradient_and_hessian(lambda: x**2 * y, [x, y])
        >>> g, product(torch.tensor([1.0, 0.0]))
        (tensor([6., 1.]), tensor([6., 2.]))
    """
    parameters = list(parameters)
    with torch.enable_grad():
        loss = loss_fn()
        gradients = torch.autograd.grad(loss.sum(), parameters, create_graph=True, materialize_grads=True)
        with_graph = _flat(gradients, loss.dim())

    def product(vector: Tensor) -> Tensor:
        if not with_graph.requires_grad:  # the loss is linear in the parameters
            return torch.zeros_like(vector)
        images = torch.autograd.grad(with_graph, parameters, vector, retain_graph=True, materialize_grads=True)
        return _flat(images, loss.dim())

    return with_graph.detach(), product


def slope_and_curvature(
    loss_fn: LossFunction, parameters: Sequence[Tensor], direction: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """First two derivatives of the loss along a direction u: gᵀu and uᵀHu.

    Cost: three to four gradient evaluations.

    Args:
        loss_fn: Returns the loss with its graph, shape () or (B,).
        parameters: The tensors to differentiate by, P entries together.
        direction: u, shape (P,) or (B, P), the update of any optimizer before it is multiplied by the LR. None
            for that of SGD, −g.

    Returns:
        gᵀu and uᵀHu, each of the loss's shape.

    Example:
        >>> x = torch.tensor([1.0, 1.0], requires_grad=True)
        >>> slope_and_curvature(lambda: (x * x * torch.tensor([1.0, 3.0])).sum() / 2, [x])
        (tensor(-10.), tensor(28.))
    """
    gradient, product = gradient_and_hessian(loss_fn, parameters)
    along = -gradient if direction is None else direction
    return (gradient * along).sum(-1), (along * product(along)).sum(-1)


def _flat(parts: Sequence[Tensor], batch_dims: int) -> Tensor:
    return torch.cat([part.reshape(*part.shape[:batch_dims], -1) for part in parts], -1)
