"""Classes of networks on symbols: bags of embeddings and convolutions."""

from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.functions import windows
from lrpilot.envs.tasks.micro.layers import Dense, Hidden, Style, Views, embedding, parameters_of
from lrpilot.envs.tasks.micro.network import LABELS, AbstractNetwork


class Bag(AbstractNetwork):
    """The mean of the embeddings of all symbols, then hidden layers.

    Args:
        length: Symbols of a sample, T.
        symbols: Different ones.
        width: Of an embedding and of the hidden layers.
        hidden: Number of hidden layers.
        outputs: Classes.
        style: Activation and normalisation.
    """

    kind: ClassVar[str] = "symbols"
    losses: ClassVar = LABELS

    def __init__(self, length: int, symbols: int, width: int, hidden: int, outputs: int, style: Style) -> None:
        self.shape, self.symbols, self.outputs = (length,), symbols, outputs
        self.normalised = style.norm != "none" and hidden > 0
        self.table = embedding("table", symbols, width)
        self.hidden = [Hidden(f"hidden{k}", width, width, style) for k in range(hidden)]
        self.head = Dense("head", width, outputs)
        self.parameters = parameters_of(self.table, *self.hidden, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, symbols = draws.even(6, 16), draws.whole(6, 64)
        return cls(length, symbols, draws.width(32), draws.even(0, 2), outputs, draws.style())

    @property
    def products(self) -> int:
        """Multiplications of a forward pass of one sample; there is one position behind the mean."""
        return self.size

    def prepare(self, x: Tensor) -> Tensor:
        """Return the share of each symbol: the mean of the embeddings is that of the table by these shares."""
        return x.mean(2)

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map shares (B, symbols, n) to (B, outputs, n)."""
        mean = self.table(views, x)
        for layer in self.hidden:
            mean = layer(views, mean, weights)
        return self.head(views, mean)


class TextConv(AbstractNetwork):
    """Embeddings, convolutions of width three, pooling over positions.

    Args:
        length: Symbols of a sample, T.
        symbols: Different ones.
        vector: Width of an embedding.
        width: Channels of a convolution.
        convolutions: How many.
        maximum: Whether the largest value is taken over positions, else the mean.
        outputs: Classes.
        style: Activation and normalisation.
    """

    kind: ClassVar[str] = "symbols"
    losses: ClassVar = LABELS

    def __init__(
        self,
        length: int,
        symbols: int,
        vector: int,
        width: int,
        convolutions: int,
        maximum: bool,
        outputs: int,
        style: Style,
    ) -> None:
        self.shape, self.symbols, self.outputs, self.maximum = (length,), symbols, outputs, maximum
        self.normalised = style.norm != "none"
        widths = [vector] + [width] * convolutions
        self.table = embedding("table", symbols, vector)
        self.layers = [Hidden(f"conv{k}", 3 * widths[k], width, style) for k in range(convolutions)]
        self.head = Dense("head", width, outputs)
        self.parameters = parameters_of(self.table, *self.layers, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, symbols, vector = draws.even(6, 12), draws.whole(6, 48), draws.whole(4, 16)
        convolutions, maximum = draws.even(1, 2), draws.chance(0.5)
        return cls(length, symbols, vector, draws.width(24), convolutions, maximum, outputs, draws.style())

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, symbols, T, n) to (B, outputs, n)."""
        h = self.table(views, x)
        for layer in self.layers:
            h = layer(views, windows(h), weights)
        return self.head(views, h.amax(2) if self.maximum else h.mean(2))
