"""Classes of networks with attention: a language model, and a classifier of symbols or signals."""

from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.layers import (
    ACTIVATIONS,
    Attention,
    Dense,
    Norm,
    Parameter,
    Style,
    Views,
    embedding,
    parameters_of,
)
from lrpilot.envs.tasks.micro.network import LABELS, AbstractNetwork


class _Block:
    """One block of a transformer: attention and a hidden layer, each behind a normalisation and added."""

    def __init__(self, name: str, width: int, heads: int, causal: bool, style: Style) -> None:
        self.norms = [Norm(f"{name}.norm{k}", style.norm, width, style.learned) for k in range(2)]
        self.attention = Attention(f"{name}.attention", width, heads, causal)
        self.into = Dense(f"{name}.in", width, 2 * width, 2**0.5)
        self.out = Dense(f"{name}.out", 2 * width, width, 0.5)
        self.activation = ACTIVATIONS[style.activation]
        self.parameters = parameters_of(*self.norms, self.attention, self.into, self.out)

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        first, second = self.norms
        x = x + self.attention(views, first(views, x, weights))
        return x + self.out(views, self.activation(self.into(views, second(views, x, weights))))


class _Transformer:
    """Positions, blocks and a head, behind vectors that a caller made."""

    def __init__(
        self, length: int, width: int, heads: int, blocks: int, causal: bool, outputs: int, style: Style
    ) -> None:
        self.blocks = [_Block(f"block{k}", width, heads, causal, style) for k in range(blocks)]
        self.norm, self.head = Norm("norm", style.norm, width, style.learned), Dense("head", width, outputs)
        places = Parameter("positions", (width, 1, length), 0.1)
        self.parameters = [places, *parameters_of(*self.blocks, self.norm, self.head)]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map vectors (B, width, n, T) to the same shape; the rows are sample by sample."""
        x = x + views["positions"]
        for block in self.blocks:
            x = block(views, x, weights)
        return self.norm(views, x, weights)

    @staticmethod
    def draw(draws: Draws) -> tuple[int, int, int]:
        """Draw width, heads and blocks."""
        width = max(draws.width(24) // 4, 1) * 4  # products of other sizes differ between replicas in the last bits
        heads = 2 ** draws.even(0, 2)
        return width, heads if width >= 4 * heads else 1, draws.even(1, 2)


class AttentionLM(AbstractNetwork):
    """A causal transformer of one or two blocks that predicts the next symbol.

    Args:
        length: Positions, T.
        symbols: Different ones.
        width: Size of the vectors.
        heads: Of the attention.
        blocks: How many.
        style: Activation and normalisation.
    """

    kind: ClassVar[str] = "language"
    losses: ClassVar = LABELS

    def __init__(self, length: int, symbols: int, width: int, heads: int, blocks: int, style: Style) -> None:
        self.shape, self.symbols, self.outputs = (length,), symbols, symbols
        self.normalised = style.norm != "none"
        self.table = embedding("table", symbols, width)
        self.body = _Transformer(length, width, heads, blocks, True, symbols, style)
        self.parameters = [*self.table.parameters, *self.body.parameters]

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        return cls(4 * draws.even(1, 3), draws.whole(6, 32), *_Transformer.draw(draws), draws.style(("layer",)))

    def prepare(self, x: Tensor) -> Tensor:
        """Return the rows sample by sample, as attention needs them: (G, channels, n, T)."""
        return x.transpose(2, 3).contiguous()

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, symbols, n, T) to (B, symbols, T, n)."""
        h = self.body(views, self.table(views, x), weights)
        return self.body.head(views, h).transpose(2, 3)


class AttentionClassifier(AbstractNetwork):
    """A transformer over the positions of a signal, or over symbols; the mean of its vectors is classified.

    Args:
        length: Positions, T.
        channels: Of the signal; with symbols 0.
        symbols: Different ones; with a signal 0.
        width: Size of the vectors.
        heads: Of the attention.
        blocks: How many.
        outputs: Classes.
        style: Activation and normalisation.
    """

    losses: ClassVar = LABELS

    def __init__(
        self,
        length: int,
        channels: int,
        symbols: int,
        width: int,
        heads: int,
        blocks: int,
        outputs: int,
        style: Style,
    ) -> None:
        self.kind = "symbols" if symbols else "signal"  # type: ignore[misc]
        self.shape = (length,) if symbols else (length, channels)
        self.symbols, self.outputs, self.normalised = symbols, outputs, style.norm != "none"
        self.table, self.entry = embedding("table", symbols, width), Dense("entry", channels, width)
        self.body = _Transformer(length, width, heads, blocks, False, outputs, style)
        first = self.table.parameters if symbols else self.entry.parameters
        self.parameters = [*first, *self.body.parameters]

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        symbols = draws.whole(6, 32) if draws.chance(0.5) else 0
        length, channels = 4 * draws.even(1, 3), draws.whole(1, 8)
        return cls(length, channels, symbols, *_Transformer.draw(draws), outputs, draws.style(("layer",)))

    def prepare(self, x: Tensor) -> Tensor:
        """Return the rows sample by sample, as attention needs them: (G, channels, n, T)."""
        return x.transpose(2, 3).contiguous()

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, symbols, n, T), or a signal (B, channels, n, T), to (B, outputs, n)."""
        h = (self.table if self.symbols else self.entry)(views, x)
        return self.body.head(views, self.body(views, h, weights).mean(3))
