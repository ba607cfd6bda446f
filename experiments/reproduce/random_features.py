"""Two-layer networks whose first layer is random: digits with noisy labels, SGD on the second layer, and its limit.

All networks of a width run side by side, and so do the schedules that they are trained under.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from lrpilot.envs.data.datasets import load_dataset

CLASSES, BATCH, MOMENTUM = 10, 32, 0.9
NOISE = 0.2  # share of the training labels that are drawn anew

LRs = Callable[[int, list[float]], list[float]]  # number of a step, losses of the one before (at first ones) -> its LRs


@dataclass(frozen=True)
class Sizes:
    """How much is measured.

    Attributes:
        samples: Training images, N.
        widths: Of the hidden layer, increasing.
        seeds: S, draws of samples, labels, first layers and mini-batches.
        steps: T, of SGD.
        test: Test images.
    """

    samples: int = 100
    widths: tuple[int, ...] = (10, 20, 32, 48, 64, 78, 88, 96, 100, 106, 116, 132, 160, 220, 320, 500, 800)
    seeds: int = 10
    steps: int = 20_000
    test: int = 1_000


class Problem(NamedTuple):
    """S networks of one width before their second layer: features of mean squared length 1, targets one-hot, centred.

    Attributes:
        features: Of the training images, shape (S, N, width).
        targets: Shape (S, N, CLASSES).
        test_features: Shape (S, N', width).
        test_targets: Shape (S, N', CLASSES), true labels, centred like those for training.
    """

    features: Tensor
    targets: Tensor
    test_features: Tensor
    test_targets: Tensor


class Score(NamedTuple):
    """What a second layer does, each of shape (S,).

    Attributes:
        loss: Mean ½‖f(x) − y‖² on test images.
        error: Share of wrong classes on test images.
        train_loss: As `loss`, on training images with their noisy labels.
        train_error: As `error`, likewise.
    """

    loss: Tensor
    error: Tensor
    train_loss: Tensor
    train_error: Tensor


def problem(width: int, sizes: Sizes, seed: int, noise: float = NOISE) -> Problem:
    """Draw samples, noisy labels and first layers; seed k of all widths has the same samples and labels.

    Args:
        width: Of the hidden layer.
        sizes: How many samples and seeds.
        seed: Of all of them.
        noise: Share of the training labels that are drawn anew.
    """
    draws = [
        _draw_one(width, sizes, torch.Generator().manual_seed(1_000 * seed + k), noise) for k in range(sizes.seeds)
    ]
    return Problem(*(torch.stack(column) for column in zip(*draws, strict=True)))


def _draw_one(width: int, sizes: Sizes, rng: torch.Generator, noise: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    digits = load_dataset("digits")
    order = torch.randperm(len(digits.targets), generator=rng)[: sizes.samples + sizes.test]
    images = normalize(digits.inputs[order].flatten(1))  # (N + N', pixels)
    labels = digits.targets[order].clone()
    wrong = torch.rand(sizes.samples, generator=rng) < noise
    labels[: sizes.samples][wrong] = torch.randint(CLASSES, (int(wrong.sum()),), generator=rng)
    first = torch.randn(images.shape[1], width, generator=rng)
    features, targets = (images @ first).relu(), one_hot(labels, CLASSES).float()
    features -= features[: sizes.samples].mean(0)
    features /= features[: sizes.samples].square().sum(1).mean().sqrt()
    targets -= targets[: sizes.samples].mean(0)
    parts = torch.split(features, [sizes.samples, sizes.test]), torch.split(targets, [sizes.samples, sizes.test])
    return parts[0][0], parts[1][0], parts[0][1], parts[1][1]


def train(of: Problem, steps: int, seed: int, schedules: Sequence[LRs]) -> tuple[Tensor, Tensor]:
    """Train second layers from 0 under several schedules, by SGD with momentum on the same mini-batches.

    Args:
        of: The S networks.
        steps: T.
        seed: Of the mini-batches.
        schedules: K of them; each returns S LRs per step.

    Returns:
        Second layers, shape (K, S, width, CLASSES), and the LR of every step, shape (T, K, S).
    """
    count, samples, width = of.features.shape
    rng = torch.Generator().manual_seed(seed)
    W = torch.zeros(count, width, len(schedules) * CLASSES)  # the schedules side by side, as so many more outputs
    V, targets = torch.zeros_like(W), of.targets.repeat(1, 1, len(schedules))
    losses, lrs = [[1.0] * count] * len(schedules), []
    for step in range(steps):
        now = torch.tensor([lr(step, loss) for lr, loss in zip(schedules, losses, strict=True)])  # (K, S)
        chosen = torch.randint(samples, (BATCH,), generator=rng)
        batch = of.features[:, chosen]
        residual = torch.baddbmm(targets[:, chosen], batch, W, beta=-1)  # (S, BATCH, K·CLASSES)
        V.mul_(MOMENTUM).baddbmm_(batch.mT, residual, alpha=1 / BATCH)
        W.addcmul_(V, now.T.repeat_interleave(CLASSES, 1)[:, None], value=-1)
        losses = (residual.view(count, BATCH, -1, CLASSES).square().sum((1, 3)).T / (2 * BATCH)).tolist()
        lrs.append(now)
    return W.view(count, width, -1, CLASSES).permute(2, 0, 1, 3), torch.stack(lrs)


def minimum_norm(of: Problem) -> Tensor:
    """Return the least-squares second layers of smallest norm, shape (S, width, CLASSES).

    Gradient descent from 0 converges to them. Singular values below 1e-5 of the largest count as 0.
    """
    inverse: Tensor = torch.linalg.pinv(of.features.double(), rtol=1e-5)
    return (inverse @ of.targets.double()).float()


def score(of: Problem, second: Tensor) -> Score:
    """Measure second layers, shape (S, width, CLASSES)."""
    values = []
    for features, targets in ((of.test_features, of.test_targets), (of.features, of.targets)):
        outputs = features @ second
        values.append((outputs - targets).square().sum(2).mean(1) / 2)
        values.append((outputs.argmax(2) != targets.argmax(2)).float().mean(1))
    return Score(*values)
