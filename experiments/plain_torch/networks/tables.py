"""Perceptrons: classification, regression, binary and multi-label targets."""

import math
from itertools import pairwise

import numpy as np
import torch
from torch import Generator, Tensor, nn

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import Batch, Epochs, Stream, parts, real, standardised
from lrpilot.experiments.plain_torch.network import Network

TEACHER_INPUTS, TEACHER_CLASSES = 16, 5
SPIRAL_ARMS = 3
LABELS, LABEL_INPUTS = 8, 20
PARITY_BITS = 16


def hidden(widths: list[int], *between: type[nn.Module]) -> nn.Sequential:
    """Return linear layers of these widths, each with what follows it; norms are given their width."""
    norms = (nn.LayerNorm, nn.BatchNorm1d)
    return nn.Sequential(
        *(
            module
            for i, o in pairwise(widths)
            for module in (nn.Linear(i, o), *(kind(o) if kind in norms else kind() for kind in between))
        )
    )


def fixed(seed: int, *shape: int) -> Tensor:
    """Return normal numbers that are part of a task, the same in each run."""
    return torch.randn(shape, generator=Generator().manual_seed(seed))


def teacher(generator: Generator, count: int) -> Batch:
    """What a fixed random network of one layer says about normal inputs, shape (N, 16): one of five classes."""
    inputs = torch.randn(count, TEACHER_INPUTS, generator=generator)
    inside = torch.tanh(inputs @ fixed(1, TEACHER_INPUTS, 24) * 0.4)
    return inputs, (inside @ fixed(2, 24, TEACHER_CLASSES)).argmax(1)


def friedman(generator: Generator, count: int) -> Batch:
    """Friedman's first function (1991) of ten uniform inputs, five of them idle, with noise; scaled to variance 1."""
    x = torch.rand(count, 10, generator=generator)
    y = 10 * torch.sin(math.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    noise = torch.randn(count, generator=generator)
    return x, ((y - 14.4 + 0.5 * noise) / 5.0)[:, None]


def parity(generator: Generator, count: int) -> Batch:
    """Whether two of sixteen bits, ±1, differ: (N, 16) and, as 0 or 1, (N, 1); one answer in twenty is wrong."""
    bits = torch.randint(2, (count, PARITY_BITS), generator=generator).float() * 2 - 1
    is_wrong = torch.rand(count, 1, generator=generator) < 0.05
    return bits, ((bits[:, :1] * bits[:, 1:2] < 0) ^ is_wrong).float()


def spirals(generator: Generator, count: int) -> Batch:
    """Points in the plane on one of three spiral arms, with noise."""
    arms = torch.randint(SPIRAL_ARMS, (count,), generator=generator)
    radius = torch.rand(count, generator=generator).sqrt() * 2
    angle = 2.0 * radius + arms * (2 * math.pi / SPIRAL_ARMS)
    points = torch.stack([radius * angle.cos(), radius * angle.sin()], 1)
    return points + 0.12 * torch.randn(count, 2, generator=generator), arms


def labels(generator: Generator, count: int) -> Batch:
    """Normal inputs, shape (N, 20), and eight labels, each the sign of a product of two projections."""
    inputs = torch.randn(count, LABEL_INPUTS, generator=generator)
    first, second = (inputs @ fixed(seed, LABEL_INPUTS, LABELS) / LABEL_INPUTS**0.5 for seed in (3, 4))
    return inputs, (first * second > 0).float()


def diabetes() -> Epochs:
    """Progress of a disease after a year (scikit-learn), standardised; shapes (N, 10) and (N, 1)."""
    from sklearn.datasets import load_diabetes

    return _regression(*load_diabetes(return_X_y=True))


def car_consumption() -> Epochs:
    """Miles a gallon of 392 cars (mlxtend), standardised; shapes (N, 7) and (N, 1)."""
    from mlxtend.data import autompg_data

    measured, consumption = autompg_data()
    return _regression(measured[:, :7], consumption)  # the last column is the name, which can't be read


def housing() -> Epochs:
    """House prices around Boston (mlxtend), standardised."""
    from mlxtend.data import boston_housing_data

    return _regression(*boston_housing_data())


def _regression(inputs: object, targets: object) -> Epochs:
    x, y = (torch.from_numpy(np.asarray(part, dtype=np.float64)) for part in (inputs, targets))
    return parts(standardised(x), standardised(y)[:, None])


def batch_norm_dropout(inputs: int, outputs: int, width: int, dropout: float) -> nn.Module:
    """Return two hidden layers with batch normalisation and dropout."""
    first, second = hidden([inputs, width], nn.BatchNorm1d, nn.ReLU), hidden([width, width], nn.BatchNorm1d, nn.ReLU)
    layers = (*first, nn.Dropout(dropout), *second, nn.Dropout(dropout), nn.Linear(width, outputs))
    return nn.Sequential(nn.Flatten(), *layers)


def with_head(body: nn.Sequential, inputs: int, outputs: int) -> nn.Sequential:
    """Return a body and a linear layer."""
    return nn.Sequential(*body, nn.Linear(inputs, outputs))


NETWORKS = (
    Network(
        "shallow MLP",
        "validation",
        lambda: with_head(hidden([TEACHER_INPUTS, 64], nn.ReLU), 64, TEACHER_CLASSES),
        lambda: Stream(teacher),
        "teacher",
        network.classification,
        "SGD",
        32,
        long=True,
    ),
    Network(
        "MLP with layer norm",
        "validation",
        lambda: with_head(hidden([10, 64, 64], nn.LayerNorm, nn.GELU), 64, 1),
        lambda: Stream(friedman),
        "Friedman 1",
        network.squared_error,
        "AdamW",
        32,
        long=True,
    ),
    Network(
        "binary MLP",
        "validation",
        lambda: with_head(hidden([PARITY_BITS, 64], nn.ReLU), 64, 1),
        lambda: Stream(parity),
        "parity",
        network.binary,
        "momentum",
        64,
    ),
    Network(
        "regression with batch norm and dropout",
        "validation",
        lambda: batch_norm_dropout(10, 1, 32, 0.1),
        diabetes,
        "diabetes",
        network.huber,
        "Adam",
        16,
    ),
    Network(
        "tanh MLP",
        "validation",
        lambda: with_head(hidden([7, 32, 32], nn.Tanh), 32, 1),
        car_consumption,
        "cars",
        network.squared_error,
        "RMSprop",
        8,
    ),
    Network(
        "deep MLP",
        "test",
        lambda: with_head(hidden([2, *[48] * 6], nn.ReLU), 48, SPIRAL_ARMS),
        lambda: Stream(spirals),
        "spirals",
        network.classification,
        "momentum",
        64,
        long=True,
    ),
    Network(
        "MLP with batch norm and dropout",
        "test",
        lambda: batch_norm_dropout(196, 10, 64, 0.2),
        lambda: real("mnist"),
        "mnist",
        network.classification,
        "Nesterov, weight decay",
        64,
    ),
    Network(
        "multi-label MLP",
        "test",
        lambda: with_head(hidden([LABEL_INPUTS, 96], nn.ReLU), 96, LABELS),
        lambda: Stream(labels),
        "labels",
        network.binary,
        "RMSprop",
        32,
        long=True,
    ),
    Network(
        "Huber regression",
        "test",
        lambda: with_head(hidden([13, 32], nn.ReLU), 32, 1),
        housing,
        "housing",
        network.huber,
        "SGD",
        8,
    ),
)
