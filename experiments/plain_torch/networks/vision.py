"""Convolutions, a mixer and a patch transformer on pictures."""

import math

import torch
from torch import Generator, Tensor, nn

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import Batch, Stream, real
from lrpilot.experiments.plain_torch.network import Network

SIDE = 12  # of made-up pictures, pixels
ORIENTATIONS, MOST_BLOBS = 6, 5


def _grid() -> tuple[Tensor, Tensor]:
    """Rows and columns of the pixels, shapes (side, 1) and (1, side)."""
    pixels = torch.arange(float(SIDE))
    return pixels[:, None], pixels[None, :]


def _uniform(generator: Generator, count: int, low: float, high: float) -> Tensor:
    """Shape (N, 1, 1)."""
    return low + (high - low) * torch.rand(count, 1, 1, generator=generator)


def _noisy(pictures: Tensor, generator: Generator, noise: float) -> Tensor:
    return (pictures + noise * torch.randn(pictures.shape, generator=generator))[:, None]


def shapes(generator: Generator, count: int) -> Batch:
    """A disc, a square, a ring, a cross or a triangle, anywhere and of any size, under noise; (N, 1, 12, 12)."""
    rows, columns = _grid()
    y, x = rows - _uniform(generator, count, 4, 7), columns - _uniform(generator, count, 4, 7)
    size = _uniform(generator, count, 2.5, 4.0)
    radius = (x**2 + y**2).sqrt()
    kinds = torch.stack([
        radius < size,
        torch.maximum(x.abs(), y.abs()) < 0.85 * size,
        (radius < size) & (radius > 0.55 * size),
        (torch.minimum(x.abs(), y.abs()) < 0.8) & (torch.maximum(x.abs(), y.abs()) < size),
        (y < 0.8 * size) & (x.abs() < 0.6 * (y + size)),
    ])
    chosen = torch.randint(len(kinds), (count,), generator=generator)
    contrast = _uniform(generator, count, 1.5, 3.0)
    return _noisy(contrast * (kinds[chosen, torch.arange(count)].float() - 0.3), generator, 0.8), chosen


def gratings(generator: Generator, count: int) -> Batch:
    """Stripes in one of six directions, of any phase and frequency, under noise; (N, 1, 12, 12)."""
    rows, columns = _grid()
    direction = torch.randint(ORIENTATIONS, (count,), generator=generator)
    angle = (direction * math.pi / ORIENTATIONS)[:, None, None] + _uniform(generator, count, -0.2, 0.2)
    frequency, phase = _uniform(generator, count, 0.8, 1.8), _uniform(generator, count, 0, 2 * math.pi)
    return _noisy(
        torch.sin(frequency * (columns * angle.cos() + rows * angle.sin()) + phase), generator, 1.2
    ), direction


def blobs(generator: Generator, count: int) -> Batch:
    """One to five bright blobs on a dark ground; the class is their number less one; (N, 1, 12, 12)."""
    rows, columns = _grid()
    number = torch.randint(MOST_BLOBS, (count,), generator=generator)
    lattice = SIDE // 2 - 1  # places in a row; no two blobs share one
    places = torch.rand(count, lattice**2, generator=generator).argsort(1)[:, :MOST_BLOBS, None, None]
    distance = (rows - 2 * (places // lattice + 1)) ** 2 + (columns - 2 * (places % lattice + 1)) ** 2
    seen = (torch.arange(MOST_BLOBS) <= number[:, None])[:, :, None, None]
    return _noisy((3 * seen * torch.exp(-distance)).amax(1), generator, 0.1), number


def _convolution(inputs: int, outputs: int, groups: int = 1) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]


def batch_norm_cnn() -> nn.Module:
    """Two convolutions with batch normalisation, for pictures of 14 × 11 pixels and 40 classes."""
    body = [*_convolution(1, 8), nn.MaxPool2d(2), *_convolution(8, 16), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*body, nn.Linear(96, 40))


def plain_cnn() -> nn.Module:
    """Two convolutions without normalisation."""
    body = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(144, 5))


def separable_cnn() -> nn.Module:
    """Depthwise and pointwise convolutions."""
    pointwise = [nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    body = [nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ReLU(), *_convolution(8, 8, groups=8), *pointwise]
    return nn.Sequential(*body, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, ORIENTATIONS))


class Residual(nn.Module):
    """Two convolutions with group normalisation beside a skip connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.GroupNorm(4, channels) for _ in range(2))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the same shape, (N, channels, height, width)."""
        inside = self.norms[0](self.first(inputs)).relu()
        return (inputs + self.norms[1](self.second(inside))).relu()


def residual_cnn() -> nn.Module:
    """A stem and two residual blocks, for pictures of ten classes."""
    stem = nn.Conv2d(1, 16, 3, stride=2, padding=1)
    return nn.Sequential(
        stem, Residual(16), nn.MaxPool2d(2), Residual(16), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10)
    )


class MixerLayer(nn.Module):
    """A perceptron over patches and one over channels (arXiv 2105.01601)."""

    def __init__(self, patches: int, channels: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for _ in range(2))
        self.over_patches = nn.Sequential(nn.Linear(patches, patches), nn.GELU(), nn.Linear(patches, patches))
        wide = 2 * channels
        self.over_channels = nn.Sequential(nn.Linear(channels, wide), nn.GELU(), nn.Linear(wide, channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the same shape, (N, patches, channels)."""
        mixed = inputs + self.over_patches(self.norms[0](inputs).mT).mT
        return mixed + self.over_channels(self.norms[1](mixed))


class OnPatches(nn.Module):
    """Cut pictures into patches, add places, apply layers, average, classify."""

    def __init__(self, size: int, patches: int, width: int, classes: int, layers: list[nn.Module]) -> None:
        super().__init__()
        self.patch = nn.Conv2d(1, width, size, stride=size)
        self.places = nn.Parameter(0.02 * torch.randn(patches, width))
        self.layers = nn.Sequential(*layers)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, pictures: Tensor) -> Tensor:
        """Return logits, shape (N, classes)."""
        return self.head(self.layers(self.patch(pictures).flatten(2).mT + self.places).mean(1))


def patch_transformer() -> nn.Module:
    """One transformer layer over patches of 3 × 3 pixels."""
    layer = nn.TransformerEncoderLayer(32, 4, 64, 0.0, batch_first=True, norm_first=True)
    return OnPatches(3, 16, 32, MOST_BLOBS, [layer])


NETWORKS = (
    Network(
        "CNN with batch norm",
        "validation",
        batch_norm_cnn,
        lambda: real("faces"),
        "faces",
        network.classification,
        "momentum, weight decay",
        16,
    ),
    Network(
        "CNN without norm",
        "validation",
        plain_cnn,
        lambda: Stream(shapes),
        "shapes",
        network.classification,
        "Nesterov, weight decay",
        32,
    ),
    Network(
        "residual CNN with group norm",
        "test",
        residual_cnn,
        lambda: real("mnist"),
        "mnist",
        network.classification,
        "momentum",
        16,
    ),
    Network(
        "separable CNN",
        "test",
        separable_cnn,
        lambda: Stream(gratings),
        "gratings",
        network.classification,
        "AdamW",
        16,
    ),
    Network(
        "MLP-mixer",
        "test",
        lambda: OnPatches(2, 49, 16, 10, [MixerLayer(49, 16)]),
        lambda: real("mnist"),
        "mnist",
        network.classification,
        "AdamW",
        16,
    ),
    Network(
        "patch transformer",
        "test",
        patch_transformer,
        lambda: Stream(blobs),
        "blobs",
        network.classification,
        "AdamW",
        16,
    ),
)
