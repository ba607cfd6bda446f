"""What differs between the groups of one structure: data, start, optimizer's settings, error of the base LR."""

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from lrpilot.envs.ranges import log_uniform
from lrpilot.envs.tasks.micro.losses import UNUSED
from lrpilot.envs.tasks.micro.network import AbstractNetwork
from lrpilot.envs.tasks.micro.problems import MicroProblems
from lrpilot.envs.tasks.micro.samples import AbstractSource
from lrpilot.envs.tasks.micro.sources import Chain, MadeUp
from lrpilot.envs.tasks.micro.structure import Structure
from lrpilot.envs.tasks.micro.tables import Table, fitting_tables
from lrpilot.envs.tasks.optimizers import ADAMS

FEWEST_ROWS = 3  # samples that count in a mini-batch, at least, where it has so many


class Settings(NamedTuple):
    """Numbers of G problems, each of shape (G,) unless said otherwise.

    Attributes:
        start: Initial parameters, shape (G, P), float32.
        weights: Of the samples in a mini-batch, shape (G, n), float32: 1 / rows for those that count, else 0.
        unused: Shape (G, C, 1), float32: 0 for classes that the problem has, else very negative.
        sizes: Training samples; 0 where every sample is new.
        rows: Samples that count in a mini-batch.
        classes: k.
        label_noise: Share of the training targets that are random.
        momentum: SGD's momentum, or β₁.
        beta2: β₂, or RMSprop's α.
        shrink: Share of the weights that weight decay takes away in a step at the guessed LR.
        clip: Norm to which gradients are clipped, over that of the first one; infinite for none.
        lr_error: Base LR over guessed LR.
    """

    start: Tensor
    weights: Tensor
    unused: Tensor
    sizes: Tensor
    rows: Tensor
    classes: Tensor
    label_noise: Tensor
    momentum: Tensor
    beta2: Tensor
    shrink: Tensor
    clip: Tensor
    lr_error: Tensor


def draw_settings(problems: MicroProblems, structure: Structure, count: int, rng: np.random.Generator) -> Settings:
    """Draw the settings of so many problems.

    Args:
        problems: The distribution.
        structure: What they have in common.
        count: G.
        rng: Source of randomness.

    Returns:
        The settings.
    """
    network, n = structure.network, structure.rows
    start = np.stack([initial_weights(network, problems.weight_scale, rng) for _ in range(count)])
    rows = log_uniform((FEWEST_ROWS, 1.5 * n), count, rng).astype(np.int64).clip(min(FEWEST_ROWS, n), n)
    weights = (np.arange(n) < rows[:, None]) / rows[:, None]
    most = network.outputs if structure.loss == "cross_entropy" and network.kind != "language" else 0
    classes = rng.integers(min(2, most), most + 1, count)
    unused = np.where(np.arange(max(most, 1)) < np.maximum(classes, 1)[:, None], 0.0, UNUSED)[:, :, None]
    low, high = (max(bound, n) for bound in problems.samples)
    sizes = log_uniform((low, high), count, rng).astype(np.int64).clip(low, high) * (not structure.single_pass)
    noise = rng.uniform(*problems.label_noise, count) * (rng.random(count) >= problems.clean)
    if network.reconstructs:
        noise *= 0
    momentum = rng.choice(problems.beta1 if structure.optimizer in ADAMS else problems.momentum, count)
    shrink = log_uniform(problems.shrink, count, rng) * (rng.random(count) >= problems.no_decay)
    clip = np.where(rng.random(count) < problems.clipped, log_uniform(problems.clip, count, rng), np.inf)
    numbers = (rows, classes, noise, momentum, rng.choice(problems.beta2, count), shrink, clip)
    singles = [torch.from_numpy(entry.astype(np.float32)) for entry in (start, weights, unused)]
    doubles = [torch.from_numpy(entry) for entry in (sizes, *numbers, log_uniform(problems.lr_error, count, rng))]
    return Settings(*singles, *doubles)


def initial_weights(
    network: AbstractNetwork, weight_scale: tuple[float, float], rng: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return initial parameters, shape (P,).

    One factor scales all weights of a network; each matrix is off by up to 1.3 more. Biases are zero, or in half of
    the networks uniform up to 1/√inputs as PyTorch draws them.

    Args:
        network: Structure of the network.
        weight_scale: The range of the factor.
        rng: Source of randomness.
    """
    factor, biased, fan_in, parts = log_uniform(weight_scale, 1, rng), rng.random() < 0.5, 1, []
    for entry in network.parameters:
        if entry.std > 0:
            fan_in = entry.shape[1]
            values = rng.standard_normal(entry.shape) * (entry.std * factor * log_uniform((1 / 1.3, 1.3), 1, rng))
        elif entry.mean == 0 and biased and entry.name.endswith(".bias"):
            values = rng.uniform(-1, 1, entry.shape) * factor / fan_in**0.5
        else:
            values = np.full(entry.shape, entry.mean)
        parts.append(values.ravel())
    flat = np.concatenate(parts)
    assert len(flat) == sum(prod(entry.shape) for entry in network.parameters)
    return flat


def draw_sources(
    problems: MicroProblems, structure: Structure, settings: Settings, data: Sequence[str], rng: np.random.Generator
) -> list[AbstractSource]:
    """Draw what the samples of each problem come from.

    Args:
        problems: The distribution.
        structure: What they have in common.
        settings: Of the problems.
        data: Names of real tables.
        rng: Source of randomness.

    Returns:
        One for each problem.
    """
    network, loss = structure.network, structure.loss
    tables = [] if structure.single_pass else fitting_tables(network, data)
    sources: list[AbstractSource] = []
    for classes, noise in zip(settings.classes.tolist(), settings.label_noise.tolist(), strict=True):
        if network.symbols:
            sources.append(Chain(network, classes, noise, rng))
        elif tables and rng.random() < problems.tables:
            name = tables[int(rng.integers(len(tables)))]
            sources.append(Table(name, network, loss, classes, noise, rng))
        else:
            sources.append(MadeUp(network, loss, classes, noise, rng))
    return sources
