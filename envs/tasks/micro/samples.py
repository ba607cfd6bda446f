"""Samples of a problem, and what they can be drawn from without end."""

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor


class Samples(NamedTuple):
    """Samples and what is to be predicted for them.

    Attributes:
        inputs: Shape (..., n, *shape of a sample), float32, or int64 symbols.
        targets: Classes (..., n) or (..., n, T), int64; or values (..., n, outputs), float32.
    """

    inputs: Tensor
    targets: Tensor

    def rows(self, index: Tensor) -> "Samples":
        """Return some of the samples of one problem."""
        return Samples(self.inputs[index], self.targets[index])

    def repeated(self, times: int) -> "Samples":
        """Return each of G problems so many times in a row."""
        if times == 1:
            return self
        return Samples(self.inputs.repeat_interleave(times, 0), self.targets.repeat_interleave(times, 0))


class AbstractSource(ABC):
    """The distribution of the samples of one problem."""

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator, held_out: bool = False) -> Samples:
        """Draw samples.

        Args:
            count: How many; a real table may have fewer.
            generator: Source of randomness.
            held_out: Whether they are for the objective: without wrong labels, and from samples of their own.
        """


def wrong_targets(targets: Tensor, share: float, classes: int, generator: torch.Generator) -> Tensor:
    """Replace a share of the targets by random ones.

    Args:
        targets: Classes, or values (n, outputs).
        share: Probability that a target is replaced.
        classes: Random classes are below it; values are replaced by those of another sample.
        generator: Source of randomness.

    Returns:
        Shaped like the targets.
    """
    if share == 0 or not len(targets):
        return targets
    if targets.is_floating_point():
        wrong = torch.rand(len(targets), 1, generator=generator) < share
        return torch.where(wrong, targets[torch.randperm(len(targets), generator=generator)], targets)
    wrong = torch.rand(targets.shape, generator=generator) < share
    return torch.where(wrong, torch.randint(classes, targets.shape, generator=generator), targets)
