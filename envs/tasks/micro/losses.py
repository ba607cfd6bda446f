"""Losses of B runs, one value for each sample."""

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional

UNUSED = -1e4  # added to the logits of classes that a problem does not have


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return −log p(target), shape (B, n), the mean over positions of a language model.

    Args:
        outputs: Logits, shape (B, C, n) or (B, C, T, n).
        targets: Classes, shape (B, n) or (B, T, n).
    """
    each = functional.cross_entropy(outputs, targets, reduction="none")
    return each if each.ndim == 2 else each.mean(1)


def squared(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean squared error, outputs and targets of shape (B, values, n), as (B, n)."""
    return (outputs - targets).square().mean(1)


def huber(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean Huber loss with δ = 1; shapes as in `squared`."""
    return functional.huber_loss(outputs, targets, reduction="none").mean(1)


def binary(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean binary cross-entropy; outputs are logits, targets 0 or 1; shapes as in `squared`."""
    return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(1)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "squared": squared,
    "huber": huber,
    "binary": binary,
}
