"""Mini-batches of G problems, some steps ahead: epochs in random order, or samples that are never seen again."""

from collections.abc import Sequence
from copy import copy
from typing import Self

import torch
from torch import Tensor

from lrpilot.envs.tasks.micro.samples import AbstractSource, Samples

AHEAD = 32  # mini-batches that are prepared at once


class Stream:
    """The mini-batches that G problems are trained on.

    Args:
        sources: What the samples are drawn from, one for each problem.
        sizes: Training samples of each, which are drawn once and come in epochs; 0 where every sample is new.
        rows: Samples that count in a mini-batch, of each.
        width: n, samples in a mini-batch; those behind the ones that count are copies of the first one.
        generators: A source of randomness for each.

    Attributes:
        sizes: As far as the sources have so many.
    """

    def __init__(
        self,
        sources: Sequence[AbstractSource],
        sizes: Sequence[int],
        rows: Sequence[int],
        width: int,
        generators: Sequence[torch.Generator],
    ) -> None:
        self.sources, self.rows, self.width, self.generators = list(sources), list(rows), width, list(generators)
        drawn = zip(sources, sizes, generators, strict=True)
        self.pools = [source.draw(size, generator) if size else None for source, size, generator in drawn]
        self.sizes = [len(pool.inputs) if pool else 0 for pool in self.pools]
        self._left = [torch.empty(0, dtype=torch.int64) for _ in sources]
        self._padding = [torch.arange(width) * (torch.arange(width) < count) for count in rows]
        self._ahead = [self._prepare(problem) for problem in range(len(self.sources))]
        self._position = 0

    def next(self) -> Samples:
        """Return the next mini-batch of each problem, shapes (G, n, …)."""
        if self._position == AHEAD:
            self._ahead = [self._prepare(problem) for problem in range(len(self.sources))]
            self._position = 0
        now = self._position
        self._position += 1
        return Samples(*(torch.stack([part[now] for part in parts]) for parts in zip(*self._ahead, strict=True)))

    def clone(self) -> Self:
        """Return a stream of the same mini-batches from here on; the two don't disturb each other."""
        other = copy(self)
        other.generators = [generator.clone_state() for generator in self.generators]
        other._left, other._ahead = list(self._left), list(self._ahead)
        return other

    def insert(self, slots: Tensor, other: "Stream") -> None:
        """Take over some problems from another stream, which has as many as are marked in slots (G,)."""
        for index, problem in enumerate(slots.nonzero()[:, 0].tolist()):
            for name in ("sources", "generators", "rows", "pools", "sizes", "_left", "_padding", "_ahead"):
                getattr(self, name)[problem] = getattr(other, name)[index]

    def _prepare(self, problem: int) -> Samples:
        """Mini-batches of one problem, shapes (AHEAD, n, …)."""
        count, pool = AHEAD * self.rows[problem], self.pools[problem]
        if pool is None:
            samples, order = self.sources[problem].draw(count, self.generators[problem]), torch.arange(count)
        else:
            samples, order = pool, self._epochs(problem, count)
        index = order.view(AHEAD, -1)[:, self._padding[problem]]
        return samples.rows(index)

    def _epochs(self, problem: int, count: int) -> Tensor:
        """The next positions in a problem's pool: none comes twice before all came once."""
        pieces, have = [self._left[problem]], len(self._left[problem])
        while have < count:
            pieces.append(torch.randperm(self.sizes[problem], generator=self.generators[problem]))
            have += self.sizes[problem]
        order = torch.cat(pieces)
        self._left[problem] = order[count:]
        return order[:count]
