"""Classes of networks on features, signals and pictures."""

from typing import ClassVar, Self

from torch import Tensor

from lrpilot.envs.tasks.micro.draws import Draws
from lrpilot.envs.tasks.micro.functions import windows
from lrpilot.envs.tasks.micro.layers import (
    ACTIVATIONS,
    Dense,
    Hidden,
    Norm,
    Style,
    Views,
    parameters_of,
)
from lrpilot.envs.tasks.micro.network import AbstractNetwork


class Perceptron(AbstractNetwork):
    """A multi-layer perceptron, residual or not; without hidden layers a linear model.

    Args:
        inputs: Features.
        width: Units of a hidden layer.
        hidden: Number of hidden layers.
        outputs: Values that it predicts.
        style: Activation, normalisation, residual or not.
    """

    short: ClassVar[bool] = False

    def __init__(self, inputs: int, width: int, hidden: int, outputs: int, style: Style) -> None:
        widths = [inputs] + [width] * hidden
        self.shape, self.outputs, self.residual = (inputs,), outputs, style.residual
        self.normalised = style.norm != "none" and hidden > 0
        self.hidden = [Hidden(f"hidden{k}", widths[k], width, style) for k in range(hidden)]
        self.head = Dense("head", widths[-1], outputs)
        self.parameters = parameters_of(*self.hidden, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        inputs = draws.whole(*draws.ranges.inputs)
        return cls(inputs, draws.width(), draws.even(*draws.ranges.depth), outputs, draws.style())

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map (B, inputs, n) to (B, outputs, n)."""
        for k, layer in enumerate(self.hidden):
            y = layer(views, x, weights)
            x = x + y if self.residual and k > 0 else y
        return self.head(views, x)


class Autoencoder(AbstractNetwork):
    """A perceptron with a bottleneck that reconstructs its input.

    Args:
        inputs: Features.
        width: Units of the layers around the bottleneck.
        code: Units of the bottleneck.
        style: Activation and normalisation.
    """

    losses: ClassVar = {"squared": 0.8, "huber": 0.2}
    reconstructs: ClassVar[bool] = True
    short: ClassVar[bool] = False

    def __init__(self, inputs: int, width: int, code: int, style: Style) -> None:
        self.shape, self.outputs = (inputs,), inputs
        self.normalised = style.norm != "none"
        self.encoder, self.code = Hidden("encoder", inputs, width, style), Dense("code", width, code)
        self.decoder, self.head = Hidden("decoder", code, width, style), Dense("head", width, inputs)
        self.parameters = parameters_of(self.encoder, self.code, self.decoder, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure; it has as many outputs as inputs."""
        inputs = draws.whole(*draws.ranges.inputs)
        return cls(inputs, draws.width(), draws.whole(2, max(2, min(inputs // 2, 16))), draws.style())

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map (B, inputs, n) to the same shape."""
        code = self.code(views, self.encoder(views, x, weights))
        return self.head(views, self.decoder(views, code, weights))


class Conv1d(AbstractNetwork):
    """Convolutions of width three over a signal, then pooling over positions and a hidden layer.

    Args:
        length: Positions, T.
        channels: Of the signal.
        width: Channels of a convolution, and units of the hidden layer.
        convolutions: How many.
        maximum: Whether the largest value is taken over positions, else the mean.
        outputs: Values that it predicts.
        style: Activation, normalisation, residual or not.
    """

    kind: ClassVar[str] = "signal"

    def __init__(
        self, length: int, channels: int, width: int, convolutions: int, maximum: bool, outputs: int, style: Style
    ) -> None:
        self.shape, self.outputs, self.residual, self.maximum = (length, channels), outputs, style.residual, maximum
        self.normalised = style.norm != "none"
        widths = [channels] + [width] * convolutions
        self.layers = [Hidden(f"conv{k}", 3 * widths[k], width, style) for k in range(convolutions)]
        self.hidden = Hidden("hidden", width, width, style._replace(norm="none"))
        self.head = Dense("head", width, outputs)
        self.parameters = parameters_of(*self.layers, self.hidden, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, channels = draws.even(6, 12), draws.whole(1, 8)
        return cls(length, channels, draws.width(20), draws.even(1, 3), draws.chance(0.5), outputs, draws.style())

    def prepare(self, x: Tensor) -> Tensor:
        """Return the windows of the first convolution."""
        return windows(x)

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map windows (B, 3 · channels, T, n) to (B, outputs, n)."""
        for k, layer in enumerate(self.layers):
            y = layer(views, windows(x) if k > 0 else x, weights)
            x = x + y if self.residual and k > 0 else y
        pooled = x.amax(2) if self.maximum else x.mean(2)
        return self.head(views, self.hidden(views, pooled, weights))


class Conv2d(AbstractNetwork):
    """Two or three 3 × 3 convolutions over a small picture; each but the first halves it. Then pooling.

    Args:
        side: Height and width of the picture.
        channels: Of the picture.
        width: Channels of the first convolution; the others have twice as many.
        convolutions: How many.
        strided: Whether a convolution with stride 2 halves the picture, else the mean over 2 × 2 squares does.
        outputs: Values that it predicts.
        style: Activation and normalisation.
    """

    kind: ClassVar[str] = "picture"

    def __init__(
        self, side: int, channels: int, width: int, convolutions: int, strided: bool, outputs: int, style: Style
    ) -> None:
        self.shape, self.outputs, self.strided = (side, side, channels), outputs, strided
        self.normalised = style.norm != "none"
        widths = [channels, width] + [2 * width] * (convolutions - 1)
        self.layers = [Hidden(f"conv{k}", 9 * widths[k], widths[k + 1], style) for k in range(convolutions)]
        self.head = Dense("head", widths[-1], outputs)
        self.parameters = parameters_of(*self.layers, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        side, channels = draws.choose({"6": 1, "8": 1}), draws.choose({"1": 2, "3": 1})
        width, strided = draws.width(10), draws.chance(0.5)
        return cls(int(side), int(channels), width, draws.even(2, 3), strided, outputs, draws.style())

    @property
    def products(self) -> int:
        """Multiplications of a forward pass of one sample; each convolution but the first sees a quarter as much."""
        sides = [self.shape[0]]
        for _ in self.layers[1:]:
            sides.append(-(-sides[-1] // 2) if self.strided else sides[-1] // 2)
        each = (layer.dense.inputs * layer.dense.outputs for layer in self.layers)
        return sum(side**2 * weights for side, weights in zip(sides, each, strict=True))

    def prepare(self, x: Tensor) -> Tensor:
        """Return the windows of the first convolution."""
        return windows(x)

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map windows (B, 9 · channels, side, side, n) to (B, outputs, n)."""
        x = self.layers[0](views, x, weights)
        for layer in self.layers[1:]:
            x = layer(views, windows(x, 2) if self.strided else windows(_halved(x)), weights)
        return self.head(views, x.flatten(2, 3).mean(2))


def _halved(x: Tensor) -> Tensor:
    """Means over 2 × 2 squares; an odd last row or column is dropped: (B, c, H, W, n) to (B, c, H // 2, W // 2, n)."""
    runs, channels, height, width, samples = x.shape
    even = x[:, :, : height // 2 * 2, : width // 2 * 2]
    upper, lower = even.view(runs, channels, height // 2, 2, -1, samples).unbind(3)
    left, right = (upper + lower).view(runs, channels, height // 2, width // 2, 2, samples).unbind(4)
    return (left + right) / 4


class Mixer(AbstractNetwork):
    """A mixer (arXiv 2105.01601): layers over positions and layers over channels in turn, then the mean.

    Args:
        length: Positions, T.
        channels: Of the signal.
        width: Channels inside.
        blocks: How many.
        outputs: Values that it predicts.
        style: Activation and normalisation; the blocks are residual.
    """

    kind: ClassVar[str] = "signal"

    def __init__(self, length: int, channels: int, width: int, blocks: int, outputs: int, style: Style) -> None:
        self.shape, self.outputs = (length, channels), outputs
        self.normalised, self.activation = style.norm != "none", ACTIVATIONS[style.activation]
        self.entry, self.head = Dense("entry", channels, width), Dense("head", width, outputs)
        sizes = {"positions": (length, 2 * length), "channels": (width, 2 * width)}
        self.blocks: list[tuple[str, Norm, Dense, Dense]] = []
        for k in range(blocks):
            for axis, (size, inner) in sizes.items():
                name = f"block{k}.{axis}"
                norm = Norm(f"{name}.norm", style.norm, width, style.learned)
                self.blocks.append((axis, norm, Dense(f"{name}.in", size, inner), Dense(f"{name}.out", inner, size)))
        inside = [layer for _, norm, into, out in self.blocks for layer in (norm, into, out)]
        self.parameters = parameters_of(self.entry, *inside, self.head)

    @classmethod
    def draw(cls, draws: Draws, outputs: int) -> Self:
        """Draw a structure."""
        length, channels, width = draws.even(4, 10), draws.whole(1, 8), draws.width(20)
        return cls(length, channels, width, draws.even(1, 2), outputs, draws.style(("layer",)))

    def forward(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map (B, channels, T, n) to (B, outputs, n)."""
        x = self.entry(views, x)
        for axis, norm, into, out in self.blocks:
            y = norm(views, x, weights)
            y = y.transpose(1, 2) if axis == "positions" else y
            y = out(views, self.activation(into(views, y)))
            x = x + (y.transpose(1, 2) if axis == "positions" else y)
        return self.head(views, x.mean(2))
