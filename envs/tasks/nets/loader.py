"""Mini-batches for several training sets of different size, in one tensor."""

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
