"""Networks as people write them, in plain torch: with batch normalisation, dropout and recurrent layers from torch.nn.

No policy was trained on any of them. The tasks of `envs` are functional; none of their architectures has dropout or an
LSTM, and those with batch normalisation, which an agent of `universal` practises on, use the batch at hand.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lrpilot.envs.data.dataset import Dataset

WIDTH = 48  # of hidden layers
Make = Callable[[Dataset], nn.Module]


class PlainTorchModel(NamedTuple):
    """A network and the optimizer that it usually comes with.

    Attributes:
        kinds: Of data sets that it takes; see `Dataset.kind`.
        make: Returns one with fresh weights; its output are logits, shape (B, classes) or (B, classes, T).
        optimizer: One of `OPTIMIZERS`.
    """

    kinds: tuple[str, ...]
    make: Make
    optimizer: str


class UsualOptimizer(NamedTuple):
    """An optimizer with the base LR that people begin with, per step."""

    make: Callable[[list[nn.Parameter], float], torch.optim.Optimizer]
    lr: float


OPTIMIZERS = {
    "SGD": UsualOptimizer(torch.optim.SGD, 0.1),
    "momentum": UsualOptimizer(lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9, weight_decay=5e-4), 0.01),
    "AdamW": UsualOptimizer(torch.optim.AdamW, 1e-3),
    "RMSprop": UsualOptimizer(torch.optim.RMSprop, 1e-3),
    "Adagrad": UsualOptimizer(torch.optim.Adagrad, 0.01),
}


class Recurrent(nn.Module):
    """An LSTM over the rows of a picture or the symbols of a text, read out at the last step or at each."""

    def __init__(self, inputs: int, outputs: int, symbols: int = 0, every_step: bool = False) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, inputs) if symbols else None
        self.lstm = nn.LSTM(inputs, WIDTH, batch_first=True)
        self.head = nn.Linear(WIDTH, outputs)
        self.every_step = every_step

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        rows = inputs.transpose(1, 2).flatten(2) if self.embedding is None else self.embedding(inputs)
        states = self.lstm(rows)[0]
        return self.head(states).transpose(1, 2) if self.every_step else self.head(states[:, -1])


class Encoder(nn.Module):
    """One of torch's transformer layers, with dropout, over a text; averaged."""

    def __init__(self, symbols: int, length: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn(length, WIDTH))
        self.layer = nn.TransformerEncoderLayer(WIDTH, 4, 2 * WIDTH, 0.1, batch_first=True, norm_first=True)
        self.head = nn.Linear(WIDTH, outputs)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.layer(self.embedding(inputs) + self.places).mean(1))


class TextCNN(nn.Module):
    """Convolutions over a text with batch normalisation, and the maximum over time."""

    def __init__(self, symbols: int, outputs: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, WIDTH)
        self.convolution = nn.Conv1d(WIDTH, 2 * WIDTH, 5, padding=2, bias=False)
        self.norm = nn.BatchNorm1d(2 * WIDTH)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * WIDTH, outputs))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits."""
        features = self.norm(self.convolution(self.embedding(inputs).transpose(1, 2)))
        return self.head(features.relu().amax(2))


def _dense(data: Dataset, layers: int, between: Callable[[], list[nn.Module]]) -> nn.Module:
    widths = [data.inputs[0].numel(), *[WIDTH] * layers]
    hidden = [part for i, o in pairwise(widths) for part in (nn.Linear(i, o), *between())]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(widths[-1], data.classes))


def _convolution(inputs: int, outputs: int, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def _vgg(data: Dataset) -> nn.Module:
    channels = data.inputs.shape[1]
    body = [*_convolution(channels, 16), nn.MaxPool2d(2), *_convolution(16, 32), nn.AdaptiveAvgPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Dropout(0.3), nn.Linear(128, data.classes))


def _separable(data: Dataset) -> nn.Module:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        pointwise = [nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        return [*_convolution(inputs, inputs, groups=inputs), *pointwise]

    body = [*_convolution(data.inputs.shape[1], 16), *block(16, 32), nn.MaxPool2d(2), *block(32, 48)]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(48, data.classes))


def _rows(data: Dataset) -> nn.Module:
    _, channels, _, width = data.inputs.shape
    return Recurrent(channels * width, data.classes)


TABLES = ("vector", "image")
MODELS = {
    "softmax regression": PlainTorchModel(TABLES, lambda data: _dense(data, 0, list), "Adagrad"),
    "MLP with batch normalisation": PlainTorchModel(
        TABLES, lambda data: _dense(data, 2, lambda: [nn.BatchNorm1d(WIDTH), nn.ReLU()]), "SGD"
    ),
    "MLP with dropout": PlainTorchModel(
        TABLES, lambda data: _dense(data, 2, lambda: [nn.GELU(), nn.Dropout(0.3)]), "AdamW"
    ),
    "deep MLP": PlainTorchModel(TABLES, lambda data: _dense(data, 5, lambda: [nn.ReLU()]), "RMSprop"),
    "VGG": PlainTorchModel(("image",), _vgg, "momentum"),
    "separable convolutions": PlainTorchModel(("image",), _separable, "AdamW"),
    "LSTM over rows": PlainTorchModel(("image",), _rows, "AdamW"),
    "text CNN": PlainTorchModel(
        ("text classification",), lambda data: TextCNN(int(data.inputs.max()) + 1, data.classes), "momentum"
    ),
    "LSTM classifier": PlainTorchModel(
        ("text classification",), lambda data: Recurrent(WIDTH, data.classes, int(data.inputs.max()) + 1), "RMSprop"
    ),
    "transformer encoder": PlainTorchModel(
        ("text classification",),
        lambda data: Encoder(int(data.inputs.max()) + 1, data.inputs.shape[1], data.classes),
        "AdamW",
    ),
    "LSTM language model": PlainTorchModel(
        ("language model",), lambda data: Recurrent(WIDTH, data.classes, data.classes, every_step=True), "AdamW"
    ),
}
