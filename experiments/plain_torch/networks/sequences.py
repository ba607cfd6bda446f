"""Sequences that are made up: majorities, modular addition, waves and a grammar."""

import math

import torch
from torch import Generator, Tensor, nn

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import Batch, Stream
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.networks.tables import fixed
from lrpilot.experiments.plain_torch.networks.texts import RecurrentModel

VOTED, VOTES = 5, 12  # symbols, and length of a sequence
MODULUS = 13
WAVES, WAVE_LENGTH = 5, 48
GRAMMAR, GRAMMAR_LENGTH = 12, 16  # symbols, and length of a sequence
SINE_LENGTH = 16


def majority(generator: Generator, count: int) -> Batch:
    """Five symbols at random, shape (N, 12); the class is the most common one, the first of those that tie."""
    symbols = torch.randint(VOTED, (count, VOTES), generator=generator)
    return symbols, (symbols[:, :, None] == torch.arange(VOTED)).sum(1).argmax(1)


def addition(generator: Generator, count: int) -> Batch:
    """Two numbers below 13, shape (N, 2), and their sum modulo 13; one in twenty is wrong."""
    a, b, wrong = torch.randint(MODULUS, (3, count), generator=generator)
    is_wrong = torch.rand(count, generator=generator) < 0.05
    return torch.stack([a, b], 1), torch.where(is_wrong, wrong, (a + b) % MODULUS)


def waves(generator: Generator, count: int) -> Batch:
    """A sine, a square, a sawtooth, a sum of two sines or a chirp, any phase and frequency, under noise; (N, 1, 48)."""
    time = torch.arange(float(WAVE_LENGTH))
    frequency = 0.2 + 0.4 * torch.rand(count, 1, generator=generator)
    phase = 2 * math.pi * torch.rand(count, 1, generator=generator)
    angle = frequency * time + phase
    kinds = torch.stack([
        angle.sin(),
        angle.sin().sign(),
        (angle % (2 * math.pi)) / math.pi - 1,
        0.7 * angle.sin() + 0.7 * (2.7 * angle).sin(),
        (angle + 0.006 * time**2).sin(),
    ])
    chosen = torch.randint(WAVES, (count,), generator=generator)
    signal = kinds[chosen, torch.arange(count)]
    return (signal + 0.6 * torch.randn(signal.shape, generator=generator))[:, None], chosen


def grammar(generator: Generator, count: int) -> Batch:
    """A Markov chain of order two over twelve symbols; inputs and next symbols, each of shape (N, 16)."""
    logits = 1.5 * fixed(6, GRAMMAR, 1, GRAMMAR) + 1.5 * fixed(7, 1, GRAMMAR, GRAMMAR)
    table = (logits + 1.5 * fixed(8, GRAMMAR, GRAMMAR, GRAMMAR)).softmax(-1).cumsum(-1)
    chain = torch.randint(GRAMMAR, (GRAMMAR_LENGTH + 1, count), generator=generator)
    drawn = torch.rand(GRAMMAR_LENGTH + 1, count, 1, generator=generator)
    for t in range(2, GRAMMAR_LENGTH + 1):
        chain[t] = (drawn[t] > table[chain[t - 2], chain[t - 1], :-1]).sum(-1)
    return chain[:-1].T.contiguous(), chain[1:].T.contiguous()


def sines(generator: Generator, count: int) -> Batch:
    """Two sines of any frequency and phase under little noise, and their next values; each of shape (N, 16, 1)."""
    frequency, phase = torch.rand(2, count, 1, 2, generator=generator)
    time = torch.arange(float(SINE_LENGTH + 1))[:, None]
    curve = ((0.2 + frequency) * time + 2 * math.pi * phase).sin().sum(-1)
    curve = (curve + 0.03 * torch.randn(curve.shape, generator=generator))[:, :, None]
    return curve[:, :-1], curve[:, 1:]


class SymbolPair(nn.Module):
    """A transformer encoder over two embedded numbers; reads out their mean."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.embedding = nn.Embedding(MODULUS, width)
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True)
        self.head = nn.Linear(width, MODULUS)

    def forward(self, symbols: Tensor) -> Tensor:
        """Return logits, shape (N, 13)."""
        return self.head(self.layer(self.embedding(symbols)).mean(1))


class CausalTransformer(nn.Module):
    """A language model of one transformer layer that looks back alone."""

    def __init__(self, symbols: int, length: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Parameter(0.02 * torch.randn(length, width))
        self.layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, symbols)
        self.register_buffer("mask", nn.Transformer.generate_square_subsequent_mask(length))

    def forward(self, symbols: Tensor) -> Tensor:
        """Return logits, shape (N, T, symbols)."""
        inside = self.layer(self.embedding(symbols) + self.places, self.get_buffer("mask"), is_causal=True)
        return self.head(self.norm(inside))


class Forecaster(nn.Module):
    """A tanh RNN that says the next value of a curve at each step."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layer = nn.RNN(1, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, curve: Tensor) -> Tensor:
        """Return the same shape, (N, T, 1)."""
        return self.head(self.layer(curve)[0])


def wave_cnn() -> nn.Module:
    """Convolutions in one dimension with batch normalisation."""
    body = [nn.Conv1d(1, 16, 7, stride=2, padding=3), nn.BatchNorm1d(16), nn.ReLU()]
    body += [nn.Conv1d(16, 24, 5, stride=2, padding=2), nn.BatchNorm1d(24), nn.ReLU()]
    return nn.Sequential(*body, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(24, WAVES))


NETWORKS = (
    Network(
        "GRU classifier",
        "validation",
        lambda: RecurrentModel(nn.GRU(16, 40, batch_first=True), VOTED, 16, VOTED, False),
        lambda: Stream(majority),
        "majority",
        network.classification,
        "AdamW",
        32,
    ),
    Network(
        "modular addition",
        "validation",
        SymbolPair,
        lambda: Stream(addition),
        "modular addition",
        network.classification,
        "Adam",
        64,
    ),
    Network(
        "1-d CNN",
        "validation",
        wave_cnn,
        lambda: Stream(waves),
        "waves",
        network.classification,
        "RMSprop",
        32,
    ),
    Network(
        "causal transformer",
        "test",
        lambda: CausalTransformer(GRAMMAR, GRAMMAR_LENGTH, 32),
        lambda: Stream(grammar),
        "grammar",
        network.next_symbol,
        "AdamW",
        16,
    ),
    Network(
        "tanh RNN",
        "test",
        Forecaster,
        lambda: Stream(sines),
        "sines",
        network.squared_error,
        "Adam",
        16,
    ),
)
