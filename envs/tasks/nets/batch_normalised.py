"""Networks with batch normalisation: how long their weights are does not matter, so they bear LRs that break others."""

from itertools import pairwise
from math import prod

import numpy as np
from torch import nn

from lrpilot.envs.data.text import SYMBOLS
from lrpilot.envs.ranges import scale
from lrpilot.envs.tasks.nets.feedforward import Shape, activation, convolution, first_stride, headed, pick
from lrpilot.envs.tasks.nets.layers import BatchNorm, Mean, Network, Swap

EMBEDDING = 8


def bn_mlp(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a perceptron of 2 to 4 layers of weights, 8 to 64 wide."""
    width, act = widen * pick(rng, 8, 16, 32, 64), activation(rng, "relu", "tanh", "gelu", "leaky")
    layers: list[nn.Module] = [nn.Flatten()]
    for before, after in pairwise([prod(shape)] + [width] * pick(rng, 1, 2, 3)):
        layers += [nn.Linear(before, after), BatchNorm(after), act]
    return Network(*layers, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3))


def bn_cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return 2 or 3 strided convolutions, 4 to 16 wide."""
    width, act = widen * pick(rng, 4, 8, 16), activation(rng, "relu", "gelu", "leaky")
    layers: list[nn.Module] = []
    channels = shape[0]
    for stride in [first_stride(shape), 2, 2][: pick(rng, 2, 3)]:
        layers += [convolution(shape, channels, width, stride), BatchNorm(width), act]
        channels = width
    return headed(layers, shape, classes, scale(rng, 0.5, 3))


def bn_byte_cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a classifier of 1 or 2 strided convolutions of symbols and the mean of what they find."""
    width, act = widen * pick(rng, 8, 16, 24), activation(rng, "relu", "gelu", "tanh")
    layers: list[nn.Module] = [nn.Embedding(SYMBOLS, EMBEDDING), Swap()]
    channels = EMBEDDING
    for _ in range(pick(rng, 1, 2)):
        layers += [nn.Conv1d(channels, width, 5, stride=2, padding=2), BatchNorm(width), act]
        channels = width
    return Network(*layers, Swap(), Mean(), nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3))
