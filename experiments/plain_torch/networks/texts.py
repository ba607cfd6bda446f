"""Classifiers and language models on real texts."""

import torch
from torch import Tensor, nn

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import Batch, Epochs, real
from lrpilot.experiments.plain_torch.network import Network

SYMBOLS = 64
TOPICS = 4
BUCKETS = 2048  # of hashed pairs of symbols


class RecurrentModel(nn.Module):
    """A recurrent layer over embedded symbols, read out at each step or at the last."""

    def __init__(self, layer: nn.Module, symbols: int, embedded: int, outputs: int, every_step: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedded)
        self.layer = layer
        self.head = nn.LazyLinear(outputs)
        self.every_step = every_step
        with torch.no_grad():
            self(torch.zeros(1, 2, dtype=torch.int64))

    def forward(self, symbols: Tensor) -> Tensor:
        """Return logits, shape (N, T, outputs) or (N, outputs), for symbols of shape (N, T)."""
        states = self.layer(self.embedding(symbols))[0]
        return self.head(states if self.every_step else states[:, -1])


class EncoderClassifier(nn.Module):
    """One of torch's transformer layers, with dropout, over a text; averaged."""

    def __init__(self, symbols: int, length: int, width: int, outputs: int, dropout: float) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout, batch_first=True, norm_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, symbols: Tensor) -> Tensor:
        """Return logits, shape (N, outputs), for symbols of shape (N, T)."""
        return self.head(self.layer(self.embedding(symbols) + self.places).mean(1))


def _shorter(data: Epochs, length: int) -> Epochs:
    """Keep the first symbols of each text."""

    def cut(batch: Batch) -> Batch:
        inputs, targets = batch
        return inputs[:, :length], targets if targets.ndim == 1 else targets[:, :length]

    return Epochs(cut(data.train), cut(data.tuning), cut(data.score))


def _pairs(data: Epochs) -> Epochs:
    """Replace symbols by hashed pairs of neighbours."""

    def hashed(batch: Batch) -> Batch:
        symbols, targets = batch
        return (symbols[:, :-1] * SYMBOLS + symbols[:, 1:]) * 40503 % 65521 % BUCKETS, targets

    return Epochs(hashed(data.train), hashed(data.tuning), hashed(data.score))


NETWORKS = (
    Network(
        "bag of embeddings",
        "validation",
        lambda: nn.Sequential(nn.EmbeddingBag(BUCKETS, 16), nn.Linear(16, TOPICS)),
        lambda: _pairs(real("docstrings_b")),
        "docstrings_b",
        network.classification,
        "Adagrad",
        16,
    ),
    Network(
        "transformer encoder",
        "validation",
        lambda: EncoderClassifier(SYMBOLS, 32, 32, TOPICS, 0.1),
        lambda: _shorter(real("docstrings_b"), 32),
        "docstrings_b",
        network.classification,
        "AdamW",
        16,
    ),
    Network(
        "LSTM language model",
        "validation",
        lambda: RecurrentModel(nn.LSTM(16, 48, batch_first=True), SYMBOLS, 16, SYMBOLS, True),
        lambda: _shorter(real("code_a"), 16),
        "code_a",
        network.next_symbol,
        "AdamW",
        16,
    ),
    Network(
        "LSTM classifier",
        "test",
        lambda: RecurrentModel(nn.LSTM(16, 32, batch_first=True), SYMBOLS, 16, TOPICS, False),
        lambda: _shorter(real("docstrings_c"), 24),
        "docstrings_c",
        network.classification,
        "RMSprop",
        16,
    ),
    Network(
        "GRU language model",
        "test",
        lambda: RecurrentModel(nn.GRU(24, 48, batch_first=True), SYMBOLS, 24, SYMBOLS, True),
        lambda: _shorter(real("code_b"), 16),
        "code_b",
        network.next_symbol,
        "Adam",
        8,
    ),
)
