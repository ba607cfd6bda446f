"""Augmentation of mini-batches: what training sees is never quite the sample."""

import torch
from torch import Tensor


def augment(inputs: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise to mini-batches, and move pictures and signals by one position.

    Args:
        inputs: Mini-batches of G problems, standardised, shape (G, n, features), (G, n, channels, length) or
            (G, n, channels, height, width). Symbols, which are integers, are returned as they are.
        strength: Of each problem, shape (G,): standard deviation of the noise, and probability that a sample is moved
            along its last axis, one position to either side, with what falls out coming in again.
        generator: Source of randomness.

    Returns:
        Shaped like the inputs.

    Example:
        >>> pictures = torch.eye(3).reshape(1, 1, 1, 3, 3)
        >>> bool((augment(pictures, torch.zeros(1), torch.Generator()) == pictures).all())
        True
    """
    if not inputs.is_floating_point() or not strength.any():
        return inputs
    each = strength.to(inputs.dtype).reshape(-1, *[1] * (inputs.ndim - 1))
    noisy = inputs + each * torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    if inputs.ndim == 3:
        return noisy
    chance = torch.rand(inputs.shape[:2], generator=generator).reshape(*inputs.shape[:2], *[1] * (inputs.ndim - 2))
    left, right = noisy.roll(-1, -1), noisy.roll(1, -1)
    return torch.where(chance < each / 2, left, torch.where(chance < each, right, noisy))
