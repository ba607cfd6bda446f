"""A wide distribution of networks in training: real data, many architectures, noisy labels, and LRs that are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lrpilot.envs.data.dataset import Dataset, split
from lrpilot.envs.data.datasets import load_dataset
from lrpilot.envs.ranges import Range, check_ranges, log_uniform
from lrpilot.envs.tasks.nets.architectures import ARCHITECTURES
from lrpilot.envs.tasks.nets.layers import Network
from lrpilot.envs.tasks.optimizers import ADAMS, OPTIMIZERS

_ALLOWED: dict[str, Range] = {
    "samples": (1, 1_000_000),
    "label_noise": (0.0, 1.0),
    "augment": (0.0, 1.0),
    "lr_error": (1e-9, 1e9),
    "shrink": (1e-12, 1e-1),
}


@dataclass(frozen=True)
class NetProblems:
    """Ranges that problems are drawn from; pairs are inclusive, and drawn log-uniformly where marked so.

    Attributes:
        alike: Problems in a group, which share the structure of the network and can be computed in one go.
        data: Names of data sets; one is drawn for each group.
        views: Share of the groups that see a view of their data set, each another one; see `envs.data.views`.
        architectures: Names of architectures; one that suits the data is drawn for each group.
        widen: Factor on the widths of all networks.
        optimizers: Kinds of optimizers; one is drawn for each group.
        batch_sizes: Samples in a mini-batch; one is drawn for each group, the data permitting.
        samples: Training samples of a problem (log-uniform), as far as the data set has them.
        held_out: Samples that the objective is measured on, as far as the data set has them.
        label_noise: Share of the training targets that are random, and stay so through the run.
        clean: Probability that none is.
        augment: Strength of the augmentation of mini-batches; see `mini_batches.augment`.
        lr_error: Base LR over the LR that seems right at the start (log-uniform).
        momentum: Momentum of SGD; one is drawn for each problem.
        beta1: The same for β₁ of AdamW and Adamax.
        beta2: The same for their β₂ and for RMSprop's α.
        shrink: Share of the weights that weight decay takes away in a step with the right LR (log-uniform).
        no_decay: Probability of no weight decay.
    """

    alike: int = 4
    data: tuple[str, ...] = ("digits", "mnist", "breast_cancer", "mnist1d", "docstrings", "manual")
    views: float = 0.0
    architectures: tuple[str, ...] = tuple(ARCHITECTURES)
    widen: int = 1
    optimizers: tuple[str, ...] = ("sgd", "nesterov", "adamw")
    batch_sizes: tuple[int, ...] = (8, 16, 32)
    samples: tuple[int, int] = (64, 2048)
    held_out: int = 128
    label_noise: Range = (0.0, 0.4)
    clean: float = 0.0
    augment: Range = (0.0, 0.0)
    lr_error: Range = (1 / 64, 64.0)
    momentum: tuple[float, ...] = (0.0, 0.5, 0.9, 0.95)
    beta1: tuple[float, ...] = (0.8, 0.9, 0.95)
    beta2: tuple[float, ...] = (0.95, 0.99, 0.999)
    shrink: Range = (1e-7, 1e-3)
    no_decay: float = 0.3

    def __post_init__(self) -> None:
        check_ranges(self, _ALLOWED, ("views", "clean", "no_decay"))
        for name, known in (("architectures", ARCHITECTURES), ("optimizers", OPTIMIZERS)):
            if not getattr(self, name) or not set(getattr(self, name)) <= set(known):
                raise ValueError(f"{name} must be names of {', '.join(known)}, at least one, not {getattr(self, name)}")
        for name in ("momentum", "beta1", "beta2"):
            if not getattr(self, name) or not all(0 <= value < 1 for value in getattr(self, name)):
                raise ValueError(f"{name} must be numbers in [0, 1), at least one, not {getattr(self, name)}")
        if not self.batch_sizes or not 1 <= min(self.batch_sizes) <= max(self.batch_sizes) <= self.samples[0]:
            raise ValueError(f"batch_sizes must be in 1..{self.samples[0]} (samples), not {self.batch_sizes}")
        if not self.data or not (self.alike >= 1 and 1 <= self.widen <= 64 and self.held_out >= 1):
            raise ValueError("data, alike and held_out must be at least one, and widen in 1..64")


class Structure(NamedTuple):
    """What the runs of one group have in common.

    Attributes:
        data: Name of the data set.
        architecture: Name of the architecture.
        network: A network of it; its weights are of no account.
        optimizer: Kind of optimizer.
        batch: Samples in a mini-batch.
    """

    data: str
    architecture: str
    network: Network
    optimizer: str
    batch: int


class NetBatch(NamedTuple):
    """G problems of one structure; n is the most samples that one has, P the number of parameters.

    Attributes:
        start: Initial parameters, shape (G, P).
        samples: Training samples, as indices in the train part of the data, shape (G, n); the first `sizes` count.
        sizes: How many count, shape (G,).
        targets: Their targets with the noise, shape (G, n), or (G, n, T) for language models.
        held_out: Samples that the objective is measured on, as indices in the validation part, shape (G, E).
        momentum: SGD's momentum or AdamW's β₁, shape (G,).
        beta2: AdamW's β₂, shape (G,).
        shrink: Share of the weights that weight decay takes away in a step at the right LR, shape (G,).
        label_noise: Probability that a target is random, shape (G,).
        augment: Strength of the augmentation, shape (G,).
        lr_error: Base LR over right LR, shape (G,).
    """

    start: Tensor
    samples: Tensor
    sizes: Tensor
    targets: Tensor
    held_out: Tensor
    momentum: Tensor
    beta2: Tensor
    shrink: Tensor
    label_noise: Tensor
    augment: Tensor
    lr_error: Tensor


@lru_cache(maxsize=512)
def part_of(name: str, part: str) -> Dataset:
    """Return the train, validation or test part of a data set, in memory once, unless hundreds of others came after."""
    return split(load_dataset(name), part)


def suitable(problems: NetProblems, data: str) -> list[str]:
    """Return the architectures of the distribution that can be trained on a data set.

    Args:
        problems: The distribution.
        data: Name of the data set.

    Returns:
        Names, at least one.

    Raises:
        ValueError: There is none.
    """
    kind = part_of(data, "train").kind
    names = [name for name in problems.architectures if kind in ARCHITECTURES[name].suits]
    if not names:
        raise ValueError(f"no architecture of {', '.join(problems.architectures)} suits {data}, a {kind}")
    return names


def draw_structure(problems: NetProblems, data: Sequence[str], rng: np.random.Generator) -> Structure:
    """Draw data set, architecture, structure of the network, optimizer and size of the mini-batches.

    Args:
        problems: The distribution.
        data: Names of the data sets to choose from.
        rng: Source of randomness.

    Returns:
        What a group has in common.
    """
    name = str(rng.choice(np.array(data)))
    if rng.random() < problems.views:
        name += f"~{rng.integers(2**31)}"
    architecture = str(rng.choice(np.array(suitable(problems, name))))
    train = part_of(name, "train")
    network = ARCHITECTURES[architecture].build(rng, tuple(train.inputs.shape[1:]), train.classes, problems.widen)
    batch = min(int(rng.choice(problems.batch_sizes)), len(train.targets))
    return Structure(name, architecture, network, str(rng.choice(np.array(problems.optimizers))), batch)


def draw_batch(problems: NetProblems, structure: Structure, count: int, rng: np.random.Generator) -> NetBatch:
    """Draw problems of one structure: samples, noise of their targets, initial weights, settings and LR error.

    Args:
        problems: The distribution.
        structure: What they have in common.
        count: G, how many.
        rng: Source of randomness.

    Returns:
        The problems.
    """
    train, validation = part_of(structure.data, "train"), part_of(structure.data, "validation")
    low, high = (min(bound, len(train.targets)) for bound in problems.samples)
    samples = _distinct(count, len(train.targets), high, rng)  # (G, n)
    sizes = np.exp(rng.uniform(np.log(low), np.log(high + 1), count)).astype(np.int64).clip(low, high)
    label_noise = rng.uniform(*problems.label_noise, count)
    if problems.clean:
        label_noise *= rng.random(count) >= problems.clean
    clean = train.targets.numpy()[samples]  # (G, n, ...)
    wrong = rng.random(clean.shape) < label_noise.reshape(-1, *[1] * (clean.ndim - 1))
    targets = np.where(wrong, rng.integers(train.classes, size=clean.shape), clean)
    held_out = _distinct(count, len(validation.targets), min(problems.held_out, len(validation.targets)), rng)
    start = [_fresh_weights(structure.network, rng) for _ in range(count)]
    momentum = rng.choice(problems.beta1 if structure.optimizer in ADAMS else problems.momentum, count)
    beta2 = rng.choice(problems.beta2, count)
    shrink = log_uniform(problems.shrink, count, rng) * (rng.random(count) >= problems.no_decay)
    lr_error = log_uniform(problems.lr_error, count, rng)
    strength = rng.uniform(*problems.augment, count)
    drawn = (samples, sizes, targets, held_out, momentum, beta2, shrink, label_noise, strength, lr_error)
    return NetBatch(torch.stack(start), *(torch.from_numpy(entry) for entry in drawn))


def _fresh_weights(network: Network, rng: np.random.Generator) -> Tensor:
    network.redraw(rng)
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def _distinct(count: int, of: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`count` random choices of `size` different numbers below `of`."""
    return np.stack([rng.choice(of, size, replace=False) for _ in range(count)])
