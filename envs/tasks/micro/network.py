"""What a class of micro networks is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from math import prod
from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.layers import Parameter, Views

CLASSIFIER = {"cross_entropy": 0.7, "squared": 0.12, "huber": 0.06, "binary": 0.12}
LABELS = {"cross_entropy": 1.0}


class AbstractNetwork(ABC):
    """One structure of a class of networks, for any number of runs.

    Attributes:
        kind: What a sample is: "features" (D,), "signal" (T, c), "picture" (S, S, c), or symbols (T,) with one target,
            "symbols", or one for each position, "language".
        losses: Share of each loss among its problems.
        reconstructs: Whether its targets are its inputs.
        short: Whether its mini-batches have half as many samples, since a sample has many positions.
        shape: Of one sample.
        outputs: Values that it predicts, for each position if it is a language model.
        symbols: Different symbols, if it reads symbols.
        parameters: In the order of the flat vector.
        normalised: Whether it has a normalisation.
        depth: Layers with weights.
    """

    kind: ClassVar[str] = "features"
    losses: ClassVar[Mapping[str, float]] = CLASSIFIER
    reconstructs: ClassVar[bool] = False
    short: ClassVar[bool] = True

    shape: tuple[int, ...]
    outputs: int
    parameters: list[Parameter]
    normalised: bool = False
    symbols: int = 0

    @classmethod
    @abstractmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure with so many outputs; autoencoders and language models have their own number."""

    def prepare(self, x: Tensor) -> Tensor:
        """Do to samples what needs no weights, and so only once for all replicas of a problem.

        Args:
            x: Shape (G, channels, *positions, n); symbols are channels of which one is 1, the others 0.

        Returns:
            What `forward` reads.
        """
        return x

    @abstractmethod
    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Predict.

        Args:
            views: Parameters by name, each of shape (B, …).
            x: Samples as `prepare` returned them, repeated for the replicas.
            weights: Of the samples in statistics over them, shape (B, 1, n), of sum 1 in each run.

        Returns:
            Shape (B, outputs, n), or (B, outputs, T, n) for a language model.
        """

    @property
    def depth(self) -> int:
        """Matrices of weights."""
        return sum(entry.std > 0 for entry in self.parameters)

    @property
    def products(self) -> int:
        """Multiplications of a forward pass of one sample, about: each weight once for each position."""
        return self.size * (self.shape[0] if self.kind != "features" else 1)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(prod(entry.shape) for entry in self.parameters)
