"""A network of the plain_torch benchmark: its module, data, loss, optimizer and batch size."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal, NamedTuple

from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, huber_loss, mse_loss
from torch.optim import SGD, Adagrad, Adam, AdamW, NAdam, Optimizer, RMSprop

from lrpilot.experiments.plain_torch.data import AbstractData, Batch

Role = Literal["validation", "test", "large"]
Loss = Callable[[nn.Module, Batch], Tensor]
MakeOptimizer = Callable[[Iterable[nn.Parameter], float], Optimizer]


class UsualOptimizer(NamedTuple):
    """An optimizer with the base LR that people begin with, per step.

    Attributes:
        make: Takes parameters and an LR.
        lr: The usual LR.
        weight_decay: As `make` has it; other optimizers that take its place have the same.
        is_sgd: Whether Schedule-Free takes its SGD form in its place.
    """

    make: MakeOptimizer
    lr: float
    weight_decay: float = 0.0
    is_sgd: bool = False


OPTIMIZERS = {
    "SGD": UsualOptimizer(SGD, 0.1, is_sgd=True),
    "momentum": UsualOptimizer(partial(SGD, momentum=0.9), 0.1, is_sgd=True),
    "momentum, weight decay": UsualOptimizer(
        partial(SGD, momentum=0.9, weight_decay=5e-4), 0.1, weight_decay=5e-4, is_sgd=True
    ),
    "Nesterov, weight decay": UsualOptimizer(
        partial(SGD, momentum=0.9, nesterov=True, weight_decay=1e-4), 0.1, weight_decay=1e-4, is_sgd=True
    ),
    "AdamW": UsualOptimizer(AdamW, 1e-3, weight_decay=0.01),
    "Adam": UsualOptimizer(Adam, 1e-3),
    "NAdam": UsualOptimizer(NAdam, 1e-3),
    "RMSprop": UsualOptimizer(RMSprop, 1e-3),
    "Adagrad": UsualOptimizer(Adagrad, 0.01),
}


class Tuning(NamedTuple):
    """Which baselines a network has, and how their base LRs are tuned.

    Attributes:
        tuned: Schedules whose base LR is tuned, of `schedules.TUNED`; linear is the first.
        untuned: Schedules at the usual LR, and packages.
        spacing: log2 of the factor between two base LRs of a grid.
        half: Points of a grid below its middle, and above, before it is extended.
        linear_tuning_seeds: Those that the base LR of linear is tuned on.
        tuning_seeds: The same of all others.
        seeds: Those that are reported, of weights and mini-batches.
    """

    tuned: tuple[str, ...]
    untuned: tuple[str, ...]
    spacing: int
    half: int
    linear_tuning_seeds: tuple[int, ...]
    tuning_seeds: tuple[int, ...]
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class Network:
    """A network and how people train it.

    Attributes:
        name: Unique.
        role: "validation" while a policy is chosen; "test" for what is reported in the end; "large" for the same, of
            networks whose runs take minutes.
        make: Returns the module with fresh weights.
        data: Returns its data.
        data_name: What the data are; those for validation share none with others.
        loss: Takes the module and a mini-batch.
        optimizer: One of `OPTIMIZERS`.
        batch: Samples in a mini-batch.
        version: Counts up when a change of the network or its data makes earlier results void.
        long: Whether it is also run for 10,000 steps.
        horizon: Steps of all its runs; None for those of all networks.
        tuning: Its baselines; None for those of all networks, `plan.TUNING`.
    """

    name: str
    role: Role
    make: Callable[[], nn.Module]
    data: Callable[[], AbstractData]
    data_name: str
    loss: Loss
    optimizer: str
    batch: int
    version: int = 1
    long: bool = False
    horizon: int | None = None
    tuning: Tuning | None = None

    @property
    def usual(self) -> UsualOptimizer:
        """Its optimizer with the usual LR."""
        return OPTIMIZERS[self.optimizer]


def classification(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of logits, shape (N, C), with classes, shape (N,)."""
    inputs, targets = batch
    return cross_entropy(model(inputs), targets)


def next_symbol(model: nn.Module, batch: Batch) -> Tensor:
    """Cross-entropy of logits, shape (N, T, C), with symbols, shape (N, T)."""
    inputs, targets = batch
    return cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


def squared_error(model: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error; outputs and targets have the same shape."""
    inputs, targets = batch
    return mse_loss(model(inputs), targets)


def huber(model: nn.Module, batch: Batch) -> Tensor:
    """Huber loss with its corner at 1; outputs and targets have the same shape."""
    inputs, targets = batch
    return huber_loss(model(inputs), targets)


def binary(model: nn.Module, batch: Batch) -> Tensor:
    """Binary cross-entropy of logits with targets in {0, 1} as floats, of the same shape."""
    inputs, targets = batch
    return binary_cross_entropy_with_logits(model(inputs), targets)


def reconstruction(model: nn.Module, batch: Batch) -> Tensor:
    """Mean squared error between the output and the input."""
    return mse_loss(model(batch[0]), batch[0])


def parameter_count(model: nn.Module) -> int:
    """Return how many numbers are trained."""
    return sum(parameter.numel() for parameter in model.parameters())
