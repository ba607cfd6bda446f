"""Layers of B networks at once: every weight has a leading axis of runs, and every product is a batched one.

Activations have shape (B, channels, rows): channels first, as narrow last axes are slow. Where samples have positions,
the rows are all samples at the first position, then all at the second: (B, channels, T, n) without a copy.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.nn import functional

from lrpilot.envs.tasks.micro.functions import attended, normalised, tanh

Views = Mapping[str, Tensor]  # parameters by name, each of shape (B, *shape)

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": tanh,
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
    """W x + b in each run.

    Attributes:
        name: Of the layer.
        inputs: Channels before.
        outputs: Channels behind.
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
        """Weight (outputs, inputs) and bias (outputs, 1)."""
        weight = Parameter(f"{self.name}.weight", (self.outputs, self.inputs), self.gain / self.inputs**0.5)
        return [weight, Parameter(f"{self.name}.bias", (self.outputs, 1), 0.0)] if self.bias else [weight]

    def __call__(self, views: Views, x: Tensor) -> Tensor:
        """Map (B, inputs, …) to (B, outputs, …)."""
        flat = x if x.ndim == 3 else x.flatten(2)
        weight = views[f"{self.name}.weight"]
        y = torch.baddbmm(views[f"{self.name}.bias"], weight, flat) if self.bias else torch.bmm(weight, flat)
        return y if x.ndim == 3 else y.view(len(x), self.outputs, *x.shape[2:])


def embedding(name: str, symbols: int, width: int, std: float = 0.3) -> Dense:
    """Return a layer with a learned vector for each symbol, for symbols given as channels: 1 for one of them, else 0.

    Args:
        name: Of the layer.
        symbols: How many there are.
        width: Size of a vector.
        std: Of the initial entries.
    """
    return Dense(name, symbols, width, std * symbols**0.5, bias=False)


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
        shape = (self.width, 1)
        return [Parameter(f"{self.name}.gain", shape, 0.0, 1.0), Parameter(f"{self.name}.shift", shape, 0.0)]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Normalise x (B, width, …, n); the weights of the samples (B, 1, n) have sum 1."""
        if self.kind == "none":
            return x
        flat = x if x.ndim == 3 else x.flatten(2)
        positions = flat.shape[2] // weights.shape[2]
        of_rows = weights if positions == 1 else weights.repeat(1, 1, positions) / positions
        y = normalised(flat, of_rows if self.kind == "batch" else None)
        if self.learned:
            y = torch.addcmul(views[f"{self.name}.shift"], y, views[f"{self.name}.gain"])
        return y if x.ndim == 3 else y.view(x.shape)


class Hidden:
    """A hidden layer: product, normalisation, activation.

    Args:
        name: Of the layer.
        inputs: Channels before.
        outputs: Channels behind.
        style: Of the network.
    """

    def __init__(self, name: str, inputs: int, outputs: int, style: Style) -> None:
        self.dense = Dense(name, inputs, outputs, 2**0.5)
        self.norm = Norm(f"{name}.norm", style.norm, outputs, style.learned)
        self.activation = ACTIVATIONS[style.activation]
        self.parameters = [*self.dense.parameters, *self.norm.parameters]

    def __call__(self, views: Views, x: Tensor, weights: Tensor) -> Tensor:
        """Map (B, inputs, …) to (B, outputs, …); weights of the samples as in `Norm`."""
        return self.activation(self.norm(views, self.dense(views, x), weights))


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

    def __call__(self, views: Views, x: Tensor) -> Tensor:
        """Map (B, width, n, T) to the same shape: here the rows are sample by sample, not position by position."""
        runs, width, samples, positions = x.shape
        weight, bias = views[f"{self.mixed.name}.weight"], views[f"{self.mixed.name}.bias"]
        mixed = torch.baddbmm(bias.mT, x.flatten(2).mT, weight.mT)  # rows first: (B, n·T, 3 · width)
        seen = attended(mixed.view(runs * samples, positions, 3 * width), self.heads, self.causal)
        return self.out(views, seen.view(runs, samples * positions, width).mT).view(x.shape)
