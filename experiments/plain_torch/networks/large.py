"""Two networks that are hundreds of times larger than micro networks: a GPT on text, a residual network on pictures.

Each is run at one horizon, with fewer baselines than other networks have, since a run takes a minute or more. They are
for what is reported in the end, not for choosing policies: some test networks have the same pictures.
"""

from collections.abc import Iterator
from typing import final

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, scaled_dot_product_attention

from lrpilot.envs.data.dataset import Dataset
from lrpilot.envs.data.text import SYMBOLS, next_symbols
from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import SCORE_SEED, TUNING_SEED, AbstractData, Batch, Epochs, in_parts, real
from lrpilot.experiments.plain_torch.network import Network, Tuning

WINDOW = 48  # symbols that the GPT reads
HELD_OUT_WINDOWS = 128  # to tune by, and as many others to score by
WIDTH, BLOCKS, HEADS = 128, 5, 4  # of the GPT
DEVIATION = 0.02  # standard deviation of the weights of a GPT at first
SIDE = 14  # of distorted pictures, pixels
TURN, STRETCH, SHIFT = 0.4, 0.25, 0.2  # at most: radians, log of the size, and share of half a side
NOISE = 1.0  # of pixels, over their spread; it keeps held-out loss away from zero
TUNING = Tuning(  # five base LRs, a factor of four apart; seed 0 is both tuned on and reported, on other samples
    tuned=("linear", "warm-up, linear", "warm-up, cosine", "warm-up, WSD"),
    untuned=(),
    spacing=2,
    half=2,
    linear_tuning_seeds=(0,),
    tuning_seeds=(0,),
    seeds=(0, 1),
)


class Block(nn.Module):
    """Causal attention, then a perceptron, each behind a layer norm and beside a skip connection."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.joint, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.perceptron = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, states: Tensor) -> Tensor:
        """Return the same shape, (N, T, width)."""
        by_head = self.joint(self.norms[0](states)).unflatten(2, (3, self.heads, -1))
        queries, keys, values = by_head.permute(2, 0, 3, 1, 4)  # (N, heads, T, width / heads) each
        seen = scaled_dot_product_attention(queries, keys, values, is_causal=True)
        states = states + self.out(seen.transpose(1, 2).flatten(2))
        return states + self.perceptron(self.norms[1](states))


class GPT(nn.Module):
    """A decoder-only transformer with learned positions and normal weights of standard deviation 0.02."""

    def __init__(self, symbols: int, length: int, width: int, blocks: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.places = nn.Parameter(DEVIATION * torch.randn(length, width))
        self.blocks = nn.Sequential(*(Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, symbols)
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=DEVIATION)
            if isinstance(module, nn.Linear):
                nn.init.zeros_(module.bias)

    def forward(self, symbols: Tensor) -> Tensor:
        """Return logits, shape (N, T, symbols), for symbols of shape (N, T)."""
        return self.head(self.norm(self.blocks(self.embedding(symbols) + self.places)))


class Residual(nn.Module):
    """Two convolutions with batch normalisation beside a skip connection, itself a convolution where shapes differ."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        first = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        second = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.inside = nn.Sequential(first, nn.BatchNorm2d(outputs), nn.ReLU(), second, nn.BatchNorm2d(outputs))
        change = nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
        self.skip = nn.Identity() if inputs == outputs and stride == 1 else nn.Sequential(*change)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return shape (N, outputs, height / stride, width / stride), rounded up."""
        return (self.skip(inputs) + self.inside(inputs)).relu()


def residual_network() -> nn.Module:
    """A stem and four residual blocks, most of them where pictures are down to 4 × 4; for ten classes."""
    stem = [nn.Conv2d(1, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    blocks = [Residual(16, 16, 1), Residual(16, 64, 2), Residual(64, 128, 2), Residual(128, 128, 1)]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def manual() -> Epochs:
    """Windows of the Python manual, by character; see `next_symbols`."""
    inputs, targets = (torch.from_numpy(part.copy()) for part in next_symbols("python_manual", WINDOW))
    return in_parts(Dataset(inputs, targets, SYMBOLS), HELD_OUT_WINDOWS)


def distorted(batch: Batch, generator: Generator) -> Batch:
    """Turn, stretch and shift pictures at random, to 14 × 14 pixels, and add noise.

    Args:
        batch: Pictures, shape (N, 1, height, width), and their classes.
        generator: Source of randomness.
    """
    pictures, classes = batch
    angle, size, *shift = (2 * torch.rand(4, len(pictures), generator=generator) - 1).unbind()
    scale = torch.exp(STRETCH * size)
    cos, sin = scale * (TURN * angle).cos(), scale * (TURN * angle).sin()
    x, y = (SHIFT * way for way in shift)
    maps = torch.stack([torch.stack([cos, -sin, x], 1), torch.stack([sin, cos, y], 1)], 1)  # (N, 2, 3)
    places = affine_grid(maps, [len(pictures), 1, SIDE, SIDE], align_corners=False)
    moved = grid_sample(pictures, places, padding_mode="border", align_corners=False)
    return moved + NOISE * torch.randn(moved.shape, generator=generator), classes


@final
class Distorted(AbstractData):
    """Pictures that are distorted anew each time they are read; held-out ones are distorted once.

    Args:
        pictures: What is distorted.
    """

    def __init__(self, pictures: Epochs) -> None:
        self.pictures = pictures
        self.tuning = distorted(pictures.tuning, Generator().manual_seed(TUNING_SEED))
        self.score = distorted(pictures.score, Generator().manual_seed(SCORE_SEED))

    def batches(self, size: int, seed: int) -> Iterator[Batch]:
        """Yield mini-batches of freshly distorted pictures; see `AbstractData`."""
        generator = Generator().manual_seed(seed)
        for batch in self.pictures.batches(size, seed):
            yield distorted(batch, generator)


NETWORKS = (
    Network(
        "GPT",
        "large",
        lambda: GPT(SYMBOLS, WINDOW, WIDTH, BLOCKS, HEADS),
        manual,
        "manual",
        network.next_symbol,
        "AdamW",
        8,
        horizon=2000,
        tuning=TUNING,
    ),
    Network(
        "residual CNN with batch norm",
        "large",
        residual_network,
        lambda: Distorted(real("mnist_fine")),
        "mnist",
        network.classification,
        "momentum, weight decay",
        32,
        horizon=3000,
        tuning=TUNING,
    ),
)
