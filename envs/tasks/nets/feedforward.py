"""Networks for vectors, pictures and signals: perceptrons, convolutions, and tokens cut from a picture.

With batch normalisation it does not matter how long weights are, so such networks bear LRs that break others.
"""

from itertools import pairwise
from math import prod

import numpy as np
import torch
from torch import nn

from lrpilot.envs.ranges import scale
from lrpilot.envs.tasks.nets.layers import ACTIVATIONS, Attention, BatchNorm, Mean, Network, Positions, Residual, Swap

Shape = tuple[int, ...]


def pick(rng: np.random.Generator, *choices: int) -> int:
    """Return one of the choices, all equally likely."""
    return int(rng.choice(choices))


def activation(rng: np.random.Generator, *names: str) -> nn.Module:
    """Return an activation, one of those named or of all."""
    return ACTIVATIONS[str(rng.choice(names or tuple(ACTIVATIONS)))]()


def mlp(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a perceptron of 1 to 4 layers of weights, 8 to 64 wide, sometimes with LayerNorm."""
    width, act, norm = widen * pick(rng, 8, 16, 32, 64), activation(rng), rng.random() < 0.3
    sizes = [prod(shape)] + [width] * pick(rng, 0, 1, 2, 3)
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after)] + ([nn.LayerNorm(after)] if norm else []) + [act]
    return Network(*layers, nn.Linear(sizes[-1], classes), init_scale=scale(rng, 0.5, 5))


def bn_mlp(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a perceptron of 2 to 4 layers of weights, 8 to 64 wide, with batch normalisation."""
    width, act = widen * pick(rng, 8, 16, 32, 64), activation(rng, "relu", "tanh", "gelu", "leaky")
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([prod(shape)] + [width] * pick(rng, 1, 2, 3)):
        layers += [nn.Linear(before, after), BatchNorm(after), act]
    return Network(*layers, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3))


def residual_mlp(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a perceptron of 1 to 4 residual blocks, 8 to 48 wide, mostly normalised."""
    width, act, norm = widen * pick(rng, 8, 16, 32, 48), activation(rng, "relu", "tanh", "gelu"), rng.random() < 0.7
    blocks = [
        Residual(*([nn.LayerNorm(width)] if norm else []), nn.Linear(width, width), act, nn.Linear(width, width))
        for _ in range(pick(rng, 1, 2, 3, 4))
    ]
    return Network(
        nn.Flatten(), nn.Linear(prod(shape), width), *blocks, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3)
    )


def gated_mlp(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return 1 to 3 layers of gated linear units, a·σ(b) (arXiv 1612.08083), 8 to 48 wide."""
    width = widen * pick(rng, 8, 16, 32, 48)
    layers: list[nn.Module] = [nn.Flatten(), nn.Linear(prod(shape), 2 * width), nn.GLU(-1)]
    for _ in range(pick(rng, 0, 1, 2)):
        layers += [nn.Linear(width, 2 * width), nn.GLU(-1)]
    return Network(*layers, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 5))


def convolution(shape: Shape, channels: int, width: int, stride: int) -> nn.Module:
    """Over one axis for a signal, over two for a picture; `shape` is that of the network's input."""
    if len(shape) == 2:
        return nn.Conv1d(channels, width, 5, stride, padding=2)
    size = max(3, stride + 1)
    return nn.Conv2d(channels, width, size, stride, padding=size // 2)


def first_stride(shape: Shape) -> int:
    """Larger inputs are made small at once, so that no network is much slower than another."""
    positions = prod(shape[1:])
    return 1 if positions <= 64 else 2 if positions <= 256 else 4


def headed(layers: list[nn.Module], shape: Shape, classes: int, init_scale: float) -> Network:
    """Flatten what the layers give, whatever its size, and end with logits."""
    with torch.no_grad():
        size = nn.Sequential(*layers)(torch.zeros(1, *shape)).numel()
    return Network(*layers, nn.Flatten(), nn.Linear(size, classes), init_scale=init_scale)


def cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return 2 or 3 convolutions, 4 to 16 wide, made smaller by strides or by pooling, sometimes with GroupNorm."""
    width, act = widen * pick(rng, 4, 8, 16), activation(rng, "relu", "tanh", "gelu", "leaky")
    norm, pooled = rng.random() < 0.4, rng.random() < 0.5
    layers: list[nn.Module] = []
    channels, strides = shape[0], [first_stride(shape), 2, 2][: pick(rng, 2, 3)]
    for index, stride in enumerate(strides):
        pool = pooled and index > 0
        layers.append(convolution(shape, channels, width, 1 if pool else stride))
        layers += ([nn.GroupNorm(2, width)] if norm else []) + [act]
        if pool:
            layers.append(nn.AvgPool1d(2) if len(shape) == 2 else nn.AvgPool2d(2))
        channels = width
    return headed(layers, shape, classes, scale(rng, 0.5, 5))


def bn_cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return 2 or 3 strided convolutions, 4 to 16 wide, with batch normalisation."""
    width, act = widen * pick(rng, 4, 8, 16), activation(rng, "relu", "gelu", "leaky")
    layers: list[nn.Module] = []
    channels = shape[0]
    for stride in [first_stride(shape), 2, 2][: pick(rng, 2, 3)]:
        layers += [convolution(shape, channels, width, stride), BatchNorm(width), act]
        channels = width
    return headed(layers, shape, classes, scale(rng, 0.5, 3))


def resnet(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a small residual network: a first convolution, 1 or 2 normalised blocks of two, mean, logits."""
    width, act = widen * pick(rng, 4, 8), activation(rng, "relu", "gelu")
    halve = nn.AvgPool1d(2) if len(shape) == 2 else nn.AvgPool2d(2)
    layers = [convolution(shape, shape[0], width, first_stride(shape)), halve]
    for _ in range(pick(rng, 1, 2)):
        first, second = (convolution(shape, width, width, 1) for _ in range(2))
        layers.append(Residual(nn.GroupNorm(2, width), act, first, act, second))
    layers += [nn.GroupNorm(2, width), act]
    return headed(layers, shape, classes, scale(rng, 0.5, 3))


def _tokens(shape: Shape, width: int) -> tuple[list[nn.Module], int]:
    """Cut a picture into about 4 × 4 squares, each a vector of `width`; also return how many there are."""
    side = max(2, max(shape[1:]) // 4)
    count = (shape[1] // side) * (shape[2] // side)
    return [nn.Conv2d(shape[0], width, side, side), nn.Flatten(2), Swap()], count


def _after_tokens(width: int, act: nn.Module) -> Residual:
    return Residual(nn.LayerNorm(width), nn.Linear(width, 2 * width), act, nn.Linear(2 * width, width))


def mixer(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return perceptrons across tokens and across channels by turns (arXiv 2105.01601), 1 or 2 times."""
    width, act = widen * pick(rng, 8, 16), activation(rng, "relu", "gelu", "tanh")
    layers, count = _tokens(shape, width)
    for _ in range(pick(rng, 1, 2)):
        across = [Swap(), nn.Linear(count, 2 * count), act, nn.Linear(2 * count, count), Swap()]
        layers += [Residual(nn.LayerNorm(width), *across), _after_tokens(width, act)]
    return Network(*layers, Mean(), nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3))


def patch_transformer(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return attention over the squares of a picture (arXiv 2010.11929), 1 or 2 blocks."""
    width, act = widen * pick(rng, 8, 16), activation(rng, "relu", "gelu")
    layers, count = _tokens(shape, width)
    layers.append(Positions(count, width))
    for _ in range(pick(rng, 1, 2)):
        layers += [Residual(nn.LayerNorm(width), Attention(width, 2, False)), _after_tokens(width, act)]
    head = [nn.LayerNorm(width), Mean(), nn.Linear(width, classes)]
    return Network(*layers, *head, init_scale=scale(rng, 0.5, 2))
