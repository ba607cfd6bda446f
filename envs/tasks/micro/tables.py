"""Problems made of a real table: some of its samples, some of its features or random mixtures of them."""

from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from lrpilot.envs.data.dataset import split
from lrpilot.envs.data.datasets import load_dataset
from lrpilot.envs.ranges import scale
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.samples import AbstractSource, Samples, wrong_targets
from lrpilot.envs.tasks.micro.sources import Head


def fitting_tables(network: AbstractNetwork, names: Sequence[str]) -> list[str]:
    """Return the data sets that a network can be trained on: pictures for pictures, any numbers for features."""
    kinds = {"features": ("vector", "image", "signal"), "picture": ("image",)}.get(network.kind, ())
    return [name for name in names if load_dataset(name).kind in kinds]


class Table(AbstractSource):
    """Samples of a data set, standardised, brought to the shape that a network reads.

    Pictures are averaged down to its size. Other samples lose some features, or are mixed by a random matrix.

    Args:
        name: Of the data set.
        network: That is to be trained.
        loss: A key of `LOSSES`.
        classes: k, of this problem; further classes of the table are counted modulo k.
        label_noise: Share of the targets that are random.
        rng: Source of randomness.
    """

    def __init__(
        self, name: str, network: AbstractNetwork, loss: str, classes: int, label_noise: float, rng: np.random.Generator
    ) -> None:
        self.label_noise, self.classes = label_noise, classes
        self.parts = [_brought(split(load_dataset(name), part), network) for part in ("train", "validation")]
        if network.kind == "features":
            matrix = _mixture(self.parts[0].inputs.shape[1], network.shape[0], rng)
            self.parts = [part._replace(inputs=part.inputs @ matrix) for part in self.parts]
        size = scale(rng, 0.3, 3.0)
        self.parts = [part._replace(inputs=part.inputs * size) for part in self.parts]
        self.size, self.head = size, Head(network, loss, classes, int(np.prod(network.shape)), rng)

    def draw(self, count: int, generator: torch.Generator, held_out: bool = False) -> Samples:
        """Draw different samples, up to as many as there are; see `AbstractSource.draw`."""
        part = self.parts[held_out]
        inputs, labels = part.rows(torch.randperm(len(part.inputs), generator=generator)[:count])
        if self.head.reconstructs:
            return Samples(inputs, inputs)
        targets = self.head(inputs / self.size, labels, generator)
        noise = 0.0 if held_out else self.label_noise
        return Samples(inputs, wrong_targets(targets, noise, self.classes, generator))


def _brought(part: Samples | object, network: AbstractNetwork) -> Samples:
    inputs, targets = part.inputs, part.targets  # type: ignore[union-attr]
    if network.kind == "features":
        return Samples(inputs.flatten(1), targets)
    side, _, channels = network.shape
    pooled = functional.adaptive_avg_pool2d(inputs.mean(1, keepdim=True), side)
    return Samples(pooled.movedim(1, -1).repeat(1, 1, 1, channels), targets)


def _mixture(features: int, wanted: int, rng: np.random.Generator) -> torch.Tensor:
    """A matrix (features, wanted): a choice of features in random order, or a random mixture of all."""
    if wanted <= features and rng.random() < 0.6:
        matrix = np.eye(features)[:, rng.permutation(features)[:wanted]]
    else:
        matrix = rng.standard_normal((features, wanted)) / features**0.5
    return torch.from_numpy(matrix.astype(np.float32))
