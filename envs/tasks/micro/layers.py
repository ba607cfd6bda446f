"""Layers of B networks at once: every weight has a leading axis of runs, and every product is a batched one.

Activations have shape (B, rows, width). Where samples have positions, the rows are sample by sample:
rows = samples × positions.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

EPSILON = 1e-5  # of the normalisations, torch's default

Views = Mapping[str, Tensor]  # parameters by name, each of shape (B, *shape)

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": functional.gelu,
    "leaky_relu": functional.leaky_relu,
    "silu": functional.silu,
}


class Parameter(NamedTuple):
    """One parameter of a network.

    Attributes:
        name: Unique in the network.
        shape: Of one run.
        std: Standard deviation of the initial values, before the scale of the problem; 0 for biases.
        mean: Of the initial values, 1 for gains.
    """

    name: str
    shape: tuple[int, ...]
    std: float
    mean: float = 0.0


class Layer(Protocol):
    """What has parameters."""

    @property
    def parameters(self) -> list[Parameter]: ...  # noqa: D102


def parameters_of(*layers: Layer) -> list[Parameter]:
    """Return the parameters of some layers, in order."""
    return [entry for layer in layers for entry in layer.parameters]


class Style(NamedTuple):
    """What the layers of a network have in common.

    Attributes:
        activation: A key of `ACTIVATIONS`.
        norm: "none", "layer" or "batch".
        learned: Whether a normalisation has gains and shifts.
        residual: Whether layers that keep the width are added to their input.
    """

    activation: str
    norm: str
    learned: bool
    residual: bool


class Dense(NamedTuple):
    """x W + b in each run; W is (inputs, outputs), that is PyTorch's transposed.

    Attributes:
        name: Of the layer.
        inputs: Width before.
        outputs: Width behind.
        gain: Standard deviation of the initial weights times √inputs.
        bias: Whether there is b.
    """

    name: str
    inputs: int
    outputs: int
    gain: float = 1.0
    bias: bool = True

    @property
    def parameters(self) -> list[Parameter]:
        """Weight and bias."""
        weight = Parameter(f"{self.name}.weight", (self.inputs, self.outputs), self.gain / self.inputs**0.5)
        return [weight, Parameter(f"{self.name}.bias", (1, self.outputs), 0.0)] if self.bias else [weight]

    def __call__(self, views: Views, x: Tensor) -> Tensor:
        """Map (B, rows, inputs) to (B, rows, outputs)."""
        weight = views[f"{self.name}.weight"]
        return torch.baddbmm(views[f"{self.name}.bias"], x, weight) if self.bias else torch.bmm(x, weight)


class Norm(NamedTuple):
    """Layer or batch normalisation, or none.

    Attributes:
        name: Of the layer.
        kind: "none", "layer" or "batch"; the latter by the statistics of the rows at hand, which count by weight.
        width: Number of channels.
        learned: Whether there are a gain and a shift for each channel.
    """

    name: str
    kind: str
    width: int
    learned: bool = False

    @property
    def parameters(self) -> list[Parameter]:
        """Gain and shift, if they are learned."""
        if self.kind == "none" or not self.learned:
            return []
        shape = (1, self.width)
        return [Parameter(f"{self.name}.gain", shape, 0.0, 1.0), Parameter(f"{self.name}.shift", shape, 0.0)]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Normalise x (B, rows, width); the weights of the samples (B, 1, samples) have sum 1."""
        if self.kind == "none":
            return x
        if self.kind == "layer":
            x = functional.layer_norm(x, (self.width,))
        else:
            positions = x.shape[1] // weights.shape[2]
            if positions > 1:
                weights = (weights / positions).repeat_interleave(positions, 2)
            x = x - torch.bmm(weights, x)
            x = x * torch.rsqrt(torch.bmm(weights, x * x) + EPSILON)
        return torch.addcmul(views[f"{self.name}.shift"], x, views[f"{self.name}.gain"]) if self.learned else x


class Hidden:
    """A hidden layer: product, normalisation, activation, and in residual networks the input added.

    Args:
        name: Of the layer.
        inputs: Width before.
        outputs: Width behind.
        style: Of the network.
    """

    def __init__(self, name: str, inputs: int, outputs: int, style: Style) -> None:
        self.dense = Dense(name, inputs, outputs, 2**0.5)
        self.norm = Norm(f"{name}.norm", style.norm, outputs, style.learned)
        self.activation = ACTIVATIONS[style.activation]
        self.parameters = [*self.dense.parameters, *self.norm.parameters]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map (B, rows, inputs) to (B, rows, outputs); weights of the samples as in `Norm`."""
        return self.activation(self.norm(views, self.dense(views, x), weights))


def windows_1d(x: Tensor) -> Tensor:
    """Return each position with its two neighbours, zeros beyond the ends: (B, n, T, c) to (B, n, T, 3c)."""
    padded = functional.pad(x, (0, 0, 1, 1))
    return torch.cat([padded[:, :, :-2], x, padded[:, :, 2:]], 3)


def windows_2d(x: Tensor, stride: int = 1) -> Tensor:
    """Return 3 × 3 windows, zeros beyond the edges: (B, n, H, W, c) to (B, n, ⌈H/stride⌉, ⌈W/stride⌉, 9c)."""
    height, width = x.shape[2:4]
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    rows = torch.cat([padded[:, :, :, j : j + width : stride] for j in range(3)], 4)
    return torch.cat([rows[:, :, i : i + height : stride] for i in range(3)], 4)


class Embedding(NamedTuple):
    """A learned vector for each symbol.

    Attributes:
        name: Of the layer.
        symbols: How many there are, v.
        width: Size of a vector, e.
        std: Of the initial entries.
    """

    name: str
    symbols: int
    width: int
    std: float = 0.3

    @property
    def parameters(self) -> list[Parameter]:
        """The table."""
        return [Parameter(self.name, (self.symbols, self.width), self.std)]

    def __call__(self, views: Views, symbols: Tensor) -> Tensor:
        """Map symbols (B, n, T) to vectors (B, n, T, e)."""
        table = views[self.name]
        offset = torch.arange(0, len(table) * self.symbols, self.symbols).view(-1, 1, 1)
        return functional.embedding(symbols + offset, table.reshape(-1, self.width))


class Attention:
    """Multi-head self-attention, softmax(QKᵀ/√d)V for each head (arXiv 1706.03762).

    Args:
        name: Of the layer.
        width: Size of the vectors; `heads` divides it.
        heads: Number of heads.
        causal: Whether a position sees itself and earlier ones only.
    """

    def __init__(self, name: str, width: int, heads: int, causal: bool) -> None:
        self.heads, self.causal = heads, causal
        self.mixed = Dense(f"{name}.qkv", width, 3 * width)
        self.out = Dense(f"{name}.out", width, width, 0.5)
        self.parameters = [*self.mixed.parameters, *self.out.parameters]

    def __call__(self, views: Views, x: Tensor, positions: int) -> Tensor:
        """Map (B, samples × positions, width) to the same shape."""
        runs, rows, width = x.shape
        parts = self.mixed(views, x).view(runs * rows // positions, positions, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # each (B·samples, heads, positions, d)
        seen = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.out(views, seen.transpose(1, 2).reshape(runs, rows, width))
