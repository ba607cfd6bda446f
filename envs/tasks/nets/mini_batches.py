"""Mini-batches for several training sets of different size, in one tensor, and their augmentation."""

from copy import copy
from typing import Self

import torch
from torch import Tensor


class Loader:
    """Epochs in random order, as training loops read them: no sample comes twice before a set is shuffled anew.

    What is left at the end of an epoch and too little for a mini-batch is dropped.

    Args:
        sizes: Samples of each set, shape (G,), at least `batch`.
        longest: n, an upper bound of all sizes.
        batch: Samples in a mini-batch.
        generator: Source of randomness.

    Example:
        >>> loader = Loader(torch.tensor([4, 6]), 6, 2, torch.Generator().manual_seed(0))
        >>> [sorted(rows) for rows in torch.cat([loader.draw() for _ in range(2)], 1).tolist()][0]
        [0, 1, 2, 3]
    """

    def __init__(self, sizes: Tensor, longest: int, batch: int, generator: torch.Generator) -> None:
        self.sizes, self.batch, self.generator = sizes.clone(), batch, generator
        self._order = torch.zeros(len(sizes), longest, dtype=torch.int64)
        self._position = self.sizes.clone()  # at the end: the first draw shuffles

    def restart(self, slots: Tensor, sizes: Tensor) -> None:
        """Exchange some of the sets.

        Args:
            slots: Shape (G,), bool.
            sizes: Samples of the new sets, one entry for each that is marked.
        """
        self.sizes[slots] = sizes
        self._position[slots] = sizes

    def clone(self) -> Self:
        """Return a loader of the same mini-batches from here on; the two don't disturb each other."""
        other = copy(self)
        other.generator, other._order = self.generator.clone_state(), self._order.clone()
        other.sizes, other._position = self.sizes.clone(), self._position.clone()
        return other

    def draw(self) -> Tensor:
        """Return the next mini-batch of each set, as positions below its size, shape (G, batch)."""
        ended = self._position + self.batch > self.sizes
        if ended.any():
            keys = torch.rand(int(ended.sum()), self._order.shape[1], generator=self.generator)
            keys += torch.arange(keys.shape[1]) >= self.sizes[ended, None]  # what is not in the set comes last
            self._order[ended] = keys.argsort(-1)
            self._position[ended] = 0
        rows = self._order.gather(1, self._position[:, None] + torch.arange(self.batch))
        self._position += self.batch
        return rows


def augment(inputs: Tensor, strength: Tensor, generator: torch.Generator) -> Tensor:
    """Add noise to mini-batches, and move pictures and signals by one position: training never sees the sample itself.

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
