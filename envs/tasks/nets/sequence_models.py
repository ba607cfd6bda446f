"""Networks for symbols: language models (T symbols in, logits of the next one at each) and classifiers of text."""

import numpy as np
from torch import nn

from lrpilot.envs.data.text import SYMBOLS
from lrpilot.envs.ranges import scale
from lrpilot.envs.tasks.nets.feedforward import Shape, activation, pick
from lrpilot.envs.tasks.nets.layers import (
    Attention,
    BatchNorm,
    DecayingMemory,
    Mean,
    Network,
    Positions,
    Recurrence,
    Residual,
    Swap,
)

EMBEDDING = 16  # where the width of the network is not that of the embedding


def gru(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a language model with gated recurrent units, 16 to 32 wide."""
    return _recurrent(rng, widen * pick(rng, 16, 24, 32), classes, gated=True)


def rnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a language model with a plain recurrence, 16 to 48 wide: its gradients may vanish or explode."""
    return _recurrent(rng, widen * pick(rng, 16, 32, 48), classes, gated=False)


def _recurrent(rng: np.random.Generator, width: int, classes: int, gated: bool) -> Network:
    layers = (nn.Embedding(SYMBOLS, EMBEDDING), Recurrence(EMBEDDING, width, gated), nn.Linear(width, classes))
    return Network(*layers, init_scale=scale(rng, 0.5, 2))


def _blocks(rng: np.random.Generator, length: int, width: int, depth: int, causal: bool) -> list[nn.Module]:
    """Positions and transformer blocks; normalised before each part of a block, or after its sum."""
    act, heads, before = activation(rng, "relu", "gelu"), pick(rng, 2, 4), rng.random() < 0.7
    layers: list[nn.Module] = [Positions(length, width)]
    for _ in range(depth):
        wide = [nn.Linear(width, 2 * width), act, nn.Linear(2 * width, width)]
        for part in ([Attention(width, heads, causal)], wide):
            norm = nn.LayerNorm(width)
            layers += [Residual(norm, *part)] if before else [Residual(*part), norm]
    return [*layers, nn.LayerNorm(width)] if before else layers


def transformer(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a causal transformer of 1 or 2 blocks, 16 to 32 wide (the narrowest ones with 2)."""
    depth = pick(rng, 1, 2)
    width = widen * (pick(rng, 16, 24, 32) if depth == 1 else 16)
    layers = [nn.Embedding(SYMBOLS, width), *_blocks(rng, shape[0], width, depth, causal=True)]
    return Network(*layers, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 2))


def memory(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a language model of 1 or 2 blocks with decaying memories: a state-space model at its smallest."""
    width, act = widen * pick(rng, 16, 24, 32), activation(rng, "gelu", "tanh")
    blocks = [
        Residual(nn.LayerNorm(width), nn.Linear(width, width), DecayingMemory(width), act, nn.Linear(width, width))
        for _ in range(pick(rng, 1, 2))
    ]
    head = (nn.LayerNorm(width), nn.Linear(width, classes))
    return Network(nn.Embedding(SYMBOLS, width), *blocks, *head, init_scale=scale(rng, 0.5, 2))


def causal_cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a language model of 1 or 2 convolutions over the last 3 or 5 symbols."""
    width, size, act = widen * pick(rng, 16, 24, 32), pick(rng, 3, 5), activation(rng, "relu", "gelu", "tanh")
    layers: list[nn.Module] = [nn.Embedding(SYMBOLS, EMBEDDING), Swap()]
    channels = EMBEDDING
    for _ in range(pick(rng, 1, 2)):
        layers += [nn.ConstantPad1d((size - 1, 0), 0.0), nn.Conv1d(channels, width, size), act]
        channels = width
    return Network(*layers, Swap(), nn.Linear(width, classes), init_scale=scale(rng, 0.5, 3))


def byte_pool(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a classifier of the mean of embeddings, with 0 to 2 layers after it: blind to the order of symbols."""
    width, act = widen * pick(rng, 8, 16, 32), activation(rng, "relu", "tanh", "gelu")
    layers: list[nn.Module] = [nn.Embedding(SYMBOLS, width), Mean()]
    for _ in range(pick(rng, 0, 1, 2)):
        layers += [nn.Linear(width, width), act]
    return Network(*layers, nn.Linear(width, classes), init_scale=scale(rng, 0.5, 5))


def byte_cnn(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1, batch_norm: bool = False) -> Network:
    """Return a classifier of 1 or 2 strided convolutions of symbols and the mean of what they find."""
    width, act = widen * pick(rng, 8, 16, 24), activation(rng, "relu", "gelu", "tanh")
    layers: list[nn.Module] = [nn.Embedding(SYMBOLS, EMBEDDING // 2), Swap()]
    channels = EMBEDDING // 2
    for _ in range(pick(rng, 1, 2)):
        layers += [nn.Conv1d(channels, width, 5, stride=2, padding=2)] + [BatchNorm(width)] * batch_norm + [act]
        channels = width
    most = 3 if batch_norm else 5
    return Network(*layers, Swap(), Mean(), nn.Linear(width, classes), init_scale=scale(rng, 0.5, most))


def byte_transformer(rng: np.random.Generator, shape: Shape, classes: int, widen: int = 1) -> Network:
    """Return a classifier: attention over pieces of 4 symbols, 1 block, 16 wide, and the mean over the pieces."""
    width = 16 * widen
    pieces = [nn.Embedding(SYMBOLS, EMBEDDING // 2), Swap(), nn.Conv1d(EMBEDDING // 2, width, 4, stride=4), Swap()]
    layers = [*pieces, *_blocks(rng, shape[0] // 4, width, 1, causal=False)]
    return Network(*layers, Mean(), nn.Linear(width, classes), init_scale=scale(rng, 0.5, 2))
