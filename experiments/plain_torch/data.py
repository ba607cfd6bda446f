"""What the networks of the plain_torch benchmark train on: streams that never repeat, and real data read in epochs."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import final

import torch
from torch import Generator, Tensor

from lrpilot.envs.data.dataset import Dataset, split
from lrpilot.envs.data.datasets import load_dataset

HELD_OUT = 512  # samples to tune by, and as many others to score by
CHUNK = 32  # mini-batches that are drawn in one go
TUNING_SEED, SCORE_SEED = 1_000_001, 1_000_002  # of the held-out samples of streams; training seeds are small
Batch = tuple[Tensor, ...]  # inputs and targets, each of shape (N, …)
Sample = Callable[[Generator, int], Batch]  # source of randomness and N


class AbstractData(ABC):
    """Samples to train on, held-out samples to tune by, and others to score by.

    Attributes:
        tuning: Held-out samples that base LRs and checkpoints are chosen by.
        score: Held-out samples for what is reported.
    """

    tuning: Batch
    score: Batch

    @abstractmethod
    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield mini-batches without end.

        Args:
            size: Samples in each.
            seed: The same seed yields the same mini-batches.
        """


@final
class Stream(AbstractData):
    """Samples that are made up on the way: each mini-batch is fresh.

    Args:
        sample: Draws so many samples.
        held_out: Samples to tune by, and to score by.
        held_out_sample: Draws those, if it differs, as where training must not see a part of a photograph.
    """

    def __init__(self, sample: Sample, held_out: int = HELD_OUT, held_out_sample: Sample | None = None) -> None:
        self.sample = sample
        held_out_sample = held_out_sample or sample
        self.tuning = held_out_sample(Generator().manual_seed(TUNING_SEED), held_out)
        self.score = held_out_sample(Generator().manual_seed(SCORE_SEED), held_out)

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield fresh mini-batches; see `AbstractData`."""
        generator = Generator().manual_seed(seed)
        while True:
            yield from _cut(self.sample(generator, CHUNK * size), size)


@final
class Epochs(AbstractData):
    """Finite data, read in a new order each epoch.

    Args:
        train: Samples to train on.
        tuning: Held-out samples to tune by.
        score: Held-out samples to score by.
    """

    def __init__(self, train: Batch, tuning: Batch, score: Batch) -> None:
        self.train, self.tuning, self.score = train, tuning, score

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield mini-batches, each sample once an epoch; what is left over at its end is left out."""
        generator, count = Generator().manual_seed(seed), len(self.train[0])
        while True:
            order = torch.randperm(count, generator=generator)[: count // size * size]
            yield from _cut(tuple(part[order] for part in self.train), size)


def _cut(samples: Batch, size: int) -> Iterator[Batch]:
    return zip(*(torch.split(part, size) for part in samples), strict=True)


def real(name: str) -> Epochs:
    """Return a real labelled data set in three parts that share no sample.

    Args:
        name: A name that `load_dataset` knows.
    """
    return in_parts(load_dataset(name))


def in_parts(data: Dataset, held_out: int = HELD_OUT) -> Epochs:
    """Return a data set in three parts that share no sample.

    Args:
        data: All samples.
        held_out: Samples to tune by, and to score by, at most.
    """
    learned, tuning, score = (split(data, part) for part in ("train", "validation", "test"))
    return Epochs(
        (learned.inputs, learned.targets),
        (tuning.inputs[:held_out], tuning.targets[:held_out]),
        (score.inputs[:held_out], score.targets[:held_out]),
    )


def parts(inputs: Tensor, targets: Tensor) -> Epochs:
    """Return samples in three parts, dealt out at random: 3/5 to train on, 1/5 to tune by, 1/5 to score by.

    Args:
        inputs: Shape (N, …).
        targets: Shape (N, …).
    """
    order = torch.randperm(len(inputs), generator=Generator().manual_seed(TUNING_SEED))
    cuts = [round(0.6 * len(order)), round(0.8 * len(order))]
    return Epochs(*((inputs[index], targets[index]) for index in order.tensor_split(cuts)))


def standardised(values: Tensor) -> Tensor:
    """Return columns of mean 0 and standard deviation 1, float32, same shape (N, …)."""
    return ((values - values.mean(0)) / values.std(0).clamp(min=1e-12)).float()
