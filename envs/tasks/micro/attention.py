"""Classes of networks with attention: a language model, and a classifier of symbols or signals."""

from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.layers import (
    ACTIVATIONS,
    Attention,
    Dense,
    Embedding,
    Norm,
    Parameter,
    Style,
    Views,
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

    def __call__(self, views: Views, x: Tensor, weights: Tensor, positions: int) -> Tensor:
        first, second = self.norms
        x = x + self.attention(views, first(views, x, weights), positions)
        return x + self.out(views, self.activation(self.into(views, second(views, x, weights))))


class _Transformer:
    """Positions, blocks and a head, behind vectors that a caller made."""

    def __init__(
        self, length: int, width: int, heads: int, blocks: int, causal: bool, outputs: int, style: Style
    ) -> None:
        self.length, self.width = length, width
        self.blocks = [_Block(f"block{k}", width, heads, causal, style) for k in range(blocks)]
        self.norm, self.head = Norm("norm", style.norm, width, style.learned), Dense("head", width, outputs)
        places = Parameter("positions", (length, width), 0.1)
        self.parameters = [places, *parameters_of(*self.blocks, self.norm, self.head)]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map vectors (B, n, T, width) to (B, n·T, width)."""
        x = (x + views["positions"][:, None]).view(x.shape[0], -1, self.width)
        for block in self.blocks:
            x = block(views, x, weights, self.length)
        return self.norm(views, x, weights)

    @staticmethod
    def draw(draws: Draws) -> tuple[int, int, int]:
        """Draw width, heads and blocks."""
        heads = 2 ** draws.even(0, 2)
        return max(draws.width(24) // heads, 2) * heads, heads, draws.even(1, 2)


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
        self.table = Embedding("table", symbols, width)
        self.body = _Transformer(length, width, heads, blocks, True, symbols, style)
        self.parameters = [*self.table.parameters, *self.body.parameters]

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        return cls(draws.even(5, 12), draws.whole(6, 32), *_Transformer.draw(draws), draws.style(("layer",)))

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, n, T) to (B, n, T, symbols)."""
        h = self.body(views, self.table(views, x), weights)
        return self.body.head(views, h).view(*x.shape, self.symbols)


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
        self.table, self.entry = Embedding("table", symbols, width), Dense("entry", channels, width)
        self.body = _Transformer(length, width, heads, blocks, False, outputs, style)
        first = self.table.parameters if symbols else self.entry.parameters
        self.parameters = [*first, *self.body.parameters]

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        symbols = draws.whole(6, 32) if draws.chance(0.5) else 0
        length, channels = draws.even(5, 12), draws.whole(1, 8)
        return cls(length, channels, symbols, *_Transformer.draw(draws), outputs, draws.style(("layer",)))

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map symbols (B, n, T), or a signal (B, n, T, channels), to (B, n, outputs)."""
        runs, samples, length = x.shape[:3]
        if self.symbols:
            h = self.table(views, x)
        else:
            h = self.entry(views, x.reshape(runs, samples * length, -1)).view(runs, samples, length, -1)
        h = self.body(views, h, weights).view(runs, samples, length, -1)
        return self.body.head(views, h.mean(2))
