"""What a class of micro networks is."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.layers import Parameter, Views

CLASSIFIER = {"cross_entropy": 0.7, "squared": 0.12, "huber": 0.06, "binary": 0.12}
LABELS = {"cross_entropy": 1.0}


class AbstractNetwork(ABC):
    """One structure of a class of networks, for any number of runs.

    Attributes:
        kind: What it reads: "features" (n, D), "signal" (n, T, c), "picture" (n, S, S, c), or "symbols" (n, T).
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

    @abstractmethod
    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Predict.

        Args:
            views: Parameters by name, each of shape (B, …).
            x: Samples, shape (B, n, *shape).
            weights: Of the samples in statistics over them, shape (B, 1, n), of sum 1 in each run.

        Returns:
            Shape (B, n, outputs), or (B, n, T, outputs) for a language model.
        """

    @property
    def depth(self) -> int:
        """Matrices of weights."""
        return sum(len(entry.shape) > 1 and entry.shape[0] > 1 for entry in self.parameters)

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return sum(_count(entry) for entry in self.parameters)


def _count(parameter: Parameter) -> int:
    count = 1
    for size in parameter.shape:
        count *= size
    return count
