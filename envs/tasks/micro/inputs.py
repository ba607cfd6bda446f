"""Made-up inputs: clouds of points, and noisy patterns of signals and pictures."""

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.ranges import scale


class AbstractInputs(ABC):
    """Inputs of about unit variance, with classes or without.

    Attributes:
        labelled: Whether they come in classes.
    """

    labelled: bool = True

    @abstractmethod
    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return so many inputs (n, *shape), and their classes (n,), zeros if there are none."""


def normal(rng: np.random.Generator, *shape: int) -> Tensor:
    """Return standard normal numbers, float32."""
    return torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))


class Clouds(AbstractInputs):
    """Normal inputs around a centre for each class; around zero, and without classes, if there are none.

    Args:
        shape: Of a sample.
        classes: How many; 0 for none.
        rng: Source of randomness for the centres.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> None:
        self.shape, self.labelled = shape, classes > 0
        distance = scale(rng, 0.5, 4.0) / np.prod(shape) ** 0.25  # as hard with many features as with few
        self.centres = normal(rng, max(classes, 1), *shape) * (distance if classes else 0.0)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw inputs; see `AbstractInputs.draw`."""
        labels = torch.randint(len(self.centres), (count,), generator=generator)
        return torch.randn(count, *self.shape, generator=generator) + self.centres[labels], labels


class Templates(AbstractInputs):
    """A random pattern for each class, shifted at random along the positions, in noise.

    Args:
        shape: Of a sample, (positions, channels) or (height, width, channels).
        classes: How many.
        rng: Source of randomness for the patterns.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> None:
        self.shape, self.axes = shape, len(shape) - 1
        rough = normal(rng, classes, *shape)
        for axis in range(1, 1 + self.axes):
            rough = rough + rough.roll(1, axis)  # neighbours are alike
        self.templates = rough / rough.std(tuple(range(1, rough.ndim)), keepdim=True, unbiased=False).clamp(min=1e-3)
        self.reach, self.noise = int(rng.integers(1, max(2, shape[0]))), scale(rng, 0.3, 2.0)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw inputs; see `AbstractInputs.draw`."""
        labels = torch.randint(len(self.templates), (count,), generator=generator)
        index = [labels.view(-1, *[1] * self.axes)]
        for axis in range(self.axes):
            shift = torch.randint(self.reach, (count,), generator=generator).view(-1, *[1] * self.axes)
            place = torch.arange(self.shape[axis]).view(-1, *[1] * (self.axes - 1 - axis))
            index.append((place + shift) % self.shape[axis])
        noise = torch.randn(count, *self.shape, generator=generator)
        return (self.templates[tuple(index)] + self.noise * noise) / (1 + self.noise**2) ** 0.5, labels


class Waves(AbstractInputs):
    """A wave for each class, of its own length and direction, at a random phase, in noise.

    Args:
        shape: Of a sample, (positions, channels) or (height, width, channels).
        classes: How many.
        rng: Source of randomness for the waves.
    """

    def __init__(self, shape: tuple[int, ...], classes: int, rng: np.random.Generator) -> None:
        self.shape = shape
        places = torch.stack(torch.meshgrid(*(torch.arange(n).float() for n in shape[:-1]), indexing="ij"), -1)
        turn = normal(rng, classes, len(shape) - 1)
        length = torch.from_numpy(rng.uniform(0.3, 2.2, (classes, 1)).astype(np.float32))
        wave = length * turn / turn.norm(dim=1, keepdim=True)  # radians a position
        self.angles = torch.einsum("...a,ka->k...", places, wave)[..., None]
        self.gains, self.noise = 1 + 0.5 * normal(rng, classes, shape[-1]), scale(rng, 0.3, 2.0)

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw inputs; see `AbstractInputs.draw`."""
        labels = torch.randint(len(self.angles), (count,), generator=generator)
        ones = [1] * (len(self.shape) - 1)
        phase = 2 * torch.pi * torch.rand(count, *ones, 1, generator=generator)
        wave = torch.sin(self.angles[labels] + phase) * self.gains[labels].view(count, *ones, -1)
        noise = torch.randn(count, *self.shape, generator=generator)
        return (wave + self.noise * noise) / (0.5 + self.noise**2) ** 0.5, labels
