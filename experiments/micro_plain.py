"""Micro networks for a single run, with the functions of torch.nn: what the batched forms must agree with and beat.

Each function takes the parameters of one run by name and its samples (n, …), and returns what
`AbstractNetwork.forward` returns for that run. All rows count in statistics over samples.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lrpilot.envs.tasks.micro.attention import AttentionClassifier, AttentionLM
from lrpilot.envs.tasks.micro.feedforward import Autoencoder, Conv1d, Conv2d, Mixer, Perceptron
from lrpilot.envs.tasks.micro.functions import tanh
from lrpilot.envs.tasks.micro.layers import Attention, Dense, Hidden, Norm
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.recurrent import AbstractRecurrent, Gated, Recurrent
from lrpilot.envs.tasks.micro.samples import Samples
from lrpilot.envs.tasks.micro.text import Bag, TextConv

Parameters = Mapping[str, Tensor]  # of one run


def activated(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Apply an activation; tanh is torch's own."""
    return torch.tanh(x) if function is tanh else function(x)


def linear(layer: Dense, own: Parameters, x: Tensor) -> Tensor:
    """Map (…, inputs) to (…, outputs)."""
    return functional.linear(x, own[f"{layer.name}.weight"], own[f"{layer.name}.bias"][:, 0])


def normalised(layer: Norm, own: Parameters, x: Tensor) -> Tensor:
    """Map (…, width) to the same shape; batch normalisation uses the statistics over all other axes."""
    if layer.kind == "none":
        return x
    gain, shift = (own[f"{layer.name}.{part}"][:, 0] if layer.learned else None for part in ("gain", "shift"))
    if layer.kind == "layer":
        return functional.layer_norm(x, (layer.width,), gain, shift)
    flat = functional.batch_norm(x.reshape(-1, layer.width), None, None, gain, shift, training=True)
    return flat.view(x.shape)


def hidden(layer: Hidden, own: Parameters, x: Tensor) -> Tensor:
    """Map (…, inputs) to (…, outputs)."""
    return activated(layer.activation, normalised(layer.norm, own, linear(layer.dense, own, x)))


def conv1d(layer: Hidden, own: Parameters, x: Tensor) -> Tensor:
    """Map (n, T, channels) to (n, T, outputs)."""
    dense = layer.dense
    weight = own[f"{dense.name}.weight"].view(dense.outputs, 3, -1).transpose(1, 2)
    y = functional.conv1d(x.transpose(1, 2), weight, own[f"{dense.name}.bias"][:, 0], padding=1)
    return activated(layer.activation, normalised(layer.norm, own, y.transpose(1, 2)))


def conv2d(layer: Hidden, own: Parameters, x: Tensor, stride: int) -> Tensor:
    """Map (n, channels, H, W) to (n, outputs, H / stride, W / stride)."""
    dense = layer.dense
    weight = own[f"{dense.name}.weight"].view(dense.outputs, 3, 3, -1).movedim(3, 1)
    y = functional.conv2d(x, weight, own[f"{dense.name}.bias"][:, 0], padding=1, stride=stride)
    return activated(layer.activation, normalised(layer.norm, own, y.movedim(1, -1))).movedim(-1, 1)


def attention(layer: Attention, own: Parameters, x: Tensor) -> Tensor:
    """Map (n, T, width) to the same shape."""
    samples, positions, width = x.shape
    parts = linear(layer.mixed, own, x).view(samples, positions, 3, layer.heads, -1).permute(2, 0, 3, 1, 4)
    query, key, value = parts.unbind()
    seen = functional.scaled_dot_product_attention(query, key, value, is_causal=layer.causal)
    return linear(layer.out, own, seen.transpose(1, 2).reshape(samples, positions, width))


def perceptron(network: Perceptron, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    for k, layer in enumerate(network.hidden):
        y = hidden(layer, own, x)
        x = x + y if network.residual and k > 0 else y
    return linear(network.head, own, x)


def autoencoder(network: Autoencoder, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    code = linear(network.code, own, hidden(network.encoder, own, x))
    return linear(network.head, own, hidden(network.decoder, own, code))


def signal_convolutions(network: Conv1d, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    for k, layer in enumerate(network.layers):
        y = conv1d(layer, own, x)
        x = x + y if network.residual and k > 0 else y
    return linear(network.head, own, hidden(network.hidden, own, x.amax(1) if network.maximum else x.mean(1)))


def picture_convolutions(network: Conv2d, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    x = x.movedim(-1, 1)
    for k, layer in enumerate(network.layers):
        if k > 0 and not network.strided:
            x = functional.avg_pool2d(x, 2)
        x = conv2d(layer, own, x, 2 if k > 0 and network.strided else 1)
    return linear(network.head, own, x.mean((2, 3)))


def mixer(network: Mixer, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    x = linear(network.entry, own, x)
    for axis, norm, into, out in network.blocks:
        y = normalised(norm, own, x)
        y = y.transpose(1, 2) if axis == "positions" else y
        y = linear(out, own, activated(network.activation, linear(into, own, y)))
        x = x + (y.transpose(1, 2) if axis == "positions" else y)
    return linear(network.head, own, x.mean(1))


def bag(network: Bag, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    mean = functional.embedding(x, own["table.weight"].T).mean(1)
    for layer in network.hidden:
        mean = hidden(layer, own, mean)
    return linear(network.head, own, mean)


def text_convolutions(network: TextConv, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    h = functional.embedding(x, own["table.weight"].T)
    for layer in network.layers:
        h = conv1d(layer, own, h)
    return linear(network.head, own, h.amax(1) if network.maximum else h.mean(1))


def transformer(network: AttentionLM | AttentionClassifier, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    body = network.body
    h = functional.embedding(x, own["table.weight"].T) if network.symbols else linear(network.entry, own, x)  # type: ignore[union-attr]
    h = h + own["positions"][:, 0].T
    for block in body.blocks:
        first, second = block.norms
        h = h + attention(block.attention, own, normalised(first, own, h))
        h = h + linear(block.out, own, activated(block.activation, linear(block.into, own, normalised(second, own, h))))
    h = normalised(body.norm, own, h)
    return linear(body.head, own, h if network.kind == "language" else h.mean(1))


def recurrence(network: AbstractRecurrent, own: Parameters, x: Tensor) -> Tensor:
    """See the module."""
    cell: Any = torch.gru_cell if network.gates == 3 else torch.rnn_tanh_cell
    entry, loop = (
        (own[f"{layer.name}.weight"], own[f"{layer.name}.bias"][:, 0]) for layer in (network.entry, network.state)
    )
    h, states = functional.embedding(x, own["table.weight"].T), []
    state = h.new_zeros(len(x), network.width)
    for position in range(x.shape[1]):
        state = cell(h[:, position], state, entry[0], loop[0], entry[1], loop[1])
        states.append(state)
    every = torch.stack(states, 1)
    out = {"last": state, "mean": every.mean(1), "all": every}[network.readout]
    return linear(network.head, own, out)


PLAIN: dict[type[AbstractNetwork], Callable[[Any, Parameters, Tensor], Tensor]] = {
    Perceptron: perceptron,
    Autoencoder: autoencoder,
    Conv1d: signal_convolutions,
    Conv2d: picture_convolutions,
    Mixer: mixer,
    Bag: bag,
    TextConv: text_convolutions,
    AttentionLM: transformer,
    AttentionClassifier: transformer,
    Recurrent: recurrence,
    Gated: recurrence,
}

_VALUES: dict[str, Callable[..., Tensor]] = {
    "squared": functional.mse_loss,
    "huber": functional.huber_loss,
    "binary": functional.binary_cross_entropy_with_logits,
}


def plain_loss(
    network: AbstractNetwork, loss: str, own: Parameters, samples: Samples, weights: Tensor, unused: Tensor
) -> Tensor:
    """Return the weighted mean loss of one run, shape ().

    Args:
        network: Its structure.
        loss: A key of `LOSSES`.
        own: Its parameters by name.
        samples: Shapes (n, …).
        weights: Of the samples, shape (n,).
        unused: Added to the outputs, shape (C,) or (1,).
    """
    outputs = PLAIN[type(network)](network, own, samples.inputs)
    if loss == "cross_entropy":
        logits = (outputs + unused).flatten(0, -2)
        flat = functional.cross_entropy(logits, samples.targets.flatten(), reduction="none")
        return flat.view(len(weights), -1).mean(1) @ weights
    return _VALUES[loss](outputs, samples.targets, reduction="none").mean(1) @ weights
