"""Networks that code their input: autoencoders, a coordinate network and contrastive learning."""

import math

import torch
from torch import Generator, Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from lrpilot.experiments.plain_torch import network
from lrpilot.experiments.plain_torch.data import AbstractData, Batch, Epochs, Sample, Stream, real
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.networks.tables import fixed, hidden, with_head

CROP, CROP_NOISE = 8, 0.5  # height and width of pieces of photographs, pixels; noise over their spread
HELD_OUT_SHARE = 0.25  # of the columns of a photograph, on its right
CONTRASTED = 32  # samples that are told apart
CODE = 16  # numbers
TEMPERATURE = 0.1


def autoencoder() -> nn.Module:
    """A perceptron through a layer of twelve, for pictures of 14 × 11 pixels."""
    encoder, decoder = hidden([154, 48, 12], nn.ELU), with_head(hidden([12, 48], nn.ELU), 48, 154)
    return nn.Sequential(nn.Flatten(), *encoder, *decoder, nn.Unflatten(1, (1, 14, 11)))


def denoiser() -> nn.Module:
    """Convolutions that return a clean colour picture of 8 × 8 pixels."""
    inside = [nn.Conv2d(3, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 16, 3, padding=1), nn.SiLU()]
    return nn.Sequential(*inside, nn.Conv2d(16, 3, 3, padding=1))


def _photograph(name: str) -> Tensor:
    """Shape (3, height, width), mean 0 and standard deviation 1."""
    from sklearn.datasets import load_sample_image

    pixels = torch.from_numpy(load_sample_image(name).copy()).float().permute(2, 0, 1)
    return (pixels - pixels.mean()) / pixels.std()


def _crops(picture: Tensor) -> Sample:
    """Pieces of a photograph, with noise and without, both of shape (N, 3, 8, 8)."""
    pieces = picture.unfold(1, CROP, 1).unfold(2, CROP, 1)  # (3, rows, columns, 8, 8)

    def sample(generator: Generator, count: int) -> Batch:
        rows, columns = (torch.randint(size, (count,), generator=generator) for size in pieces.shape[1:3])
        clean = pieces[:, rows, columns].transpose(0, 1)
        return clean + CROP_NOISE * torch.randn(clean.shape, generator=generator), clean

    return sample


def noisy_crops() -> AbstractData:
    """Pieces of a photograph of a temple under fresh noise; held-out ones come from its right quarter."""
    picture = _photograph("china.jpg")
    edge = round((1 - HELD_OUT_SHARE) * picture.shape[2])
    return Stream(_crops(picture[:, :, :edge]), held_out_sample=_crops(picture[:, :, edge:]))


class Coordinates(nn.Module):
    """Sines and cosines of places at random frequencies (arXiv 2006.10739), then a perceptron."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("frequencies", 2 * math.pi * 2.0 * fixed(5, 2, 32))
        self.layers = with_head(hidden([64, 64, 64], nn.ReLU), 64, 3)

    def forward(self, places: Tensor) -> Tensor:
        """Return colours, shape (N, 3), at places in the unit square, shape (N, 2)."""
        angles = places @ self.get_buffer("frequencies")
        return self.layers(torch.cat([angles.sin(), angles.cos()], 1))


def pixels() -> AbstractData:
    """Places in the unit square and the colours of a photograph of a flower there."""
    picture = _photograph("flower.jpg")
    _, height, width = picture.shape

    def sample(generator: Generator, count: int) -> Batch:
        rows, columns = (torch.randint(size, (count,), generator=generator) for size in (height, width))
        return torch.stack([rows / height, columns / width], 1), picture[:, rows, columns].T

    return Stream(sample)


def two_views() -> AbstractData:
    """Handwritten digits under two independent noises each, a fifth of the pixels hidden; shape (N, 1, 14, 14)."""
    digits = real("mnist")
    held_out = (digits.tuning, digits.score)
    views = [_views(part, Generator().manual_seed(seed)) for seed, part in enumerate(held_out)]
    return Epochs(digits.train[:1], *(tuple(view[: len(view) // CONTRASTED * CONTRASTED] for view in v) for v in views))


def _views(batch: Batch, generator: Generator | None) -> Batch:
    """Two views of the inputs; without a generator torch's own."""
    inputs = batch[0]
    kept = [torch.rand(inputs.shape, generator=generator) < 0.8 for _ in range(2)]
    return tuple(mask * inputs + 0.3 * torch.randn(inputs.shape, generator=generator) for mask in kept)


def contrastive(model: nn.Module, batch: Batch) -> Tensor:
    """InfoNCE (arXiv 1807.03748): which of 32 second views belongs to a first view; shapes (N, 1, 14, 14)."""
    first, second = batch if len(batch) == 2 else _views(batch, None)
    codes = [normalize(model(view), dim=1).reshape(-1, CONTRASTED, CODE) for view in (first, second)]
    similarity = codes[0] @ codes[1].mT / TEMPERATURE  # (groups, 32, 32)
    return cross_entropy(similarity.flatten(0, 1), torch.arange(CONTRASTED).repeat(len(similarity)))


NETWORKS = (
    Network(
        "autoencoder",
        "validation",
        autoencoder,
        lambda: real("faces"),
        "faces",
        network.reconstruction,
        "AdamW",
        16,
    ),
    Network(
        "denoising autoencoder",
        "test",
        denoiser,
        noisy_crops,
        "photographs",
        network.squared_error,
        "NAdam",
        16,
    ),
    Network(
        "coordinate network",
        "test",
        Coordinates,
        pixels,
        "photographs",
        network.squared_error,
        "Adam",
        128,
        long=True,
    ),
    Network(
        "contrastive network",
        "test",
        lambda: nn.Sequential(nn.Flatten(), *with_head(hidden([196, 64, 64, 64], nn.ReLU), 64, CODE).children()),
        two_views,
        "mnist",
        contrastive,
        "AdamW",
        CONTRASTED,
    ),
)
