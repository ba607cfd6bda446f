"""One run, as a user writes it."""

import math
import os
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import lru_cache
from io import StringIO

import torch
from prodigyopt import Prodigy
from schedulefree import AdamWScheduleFree, SGDScheduleFree
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from lrpilot import LearnedLR
from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.experiments.plain_torch.cell import DIGITS, Cell, Result, log_ratio
from lrpilot.experiments.plain_torch.data import AbstractData, Batch
from lrpilot.experiments.plain_torch.network import Network
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.experiments.plain_torch.schedules import PACKAGES, SCHEDULE_FREE, multiplier
from lrpilot.policy import SchedulePolicy, load_policy

CHECKPOINTS = 20  # evenly spaced points at which held-out loss is read
RECENT = 32  # mini-batches by which Schedule-Free's averaged weights get their batch statistics
EXPECTED_WARNINGS = r"horizon=|losses |this policy chooses"  # of LearnedLR, about runs that are short or odd
Policy = str | os.PathLike[str] | SchedulePolicy  # name, path or loaded
Step = Callable[[Tensor], None]


def run(cell: Cell, policy: Policy | None = None) -> Result:
    """Train once; the same cell gives the same result.

    Args:
        cell: What to run; its network is one of `NETWORKS`.
        policy: Where the schedule is a learned one.

    Returns:
        Its scores. A run is stopped once its training loss is not finite.
    """
    begin, network = time.process_time(), NETWORKS[cell.network]
    data = data_of(cell.network)
    torch.manual_seed(cell.seed)
    model = network.make()
    optimizer = _optimizer(network, cell, model)
    held_out = _HeldOut(network, model, optimizer, data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=EXPECTED_WARNINGS)
        scheduler_step = step_of(optimizer, cell.schedule, policy, cell.horizon, cell.hidden)
        finite = _train(network, cell, model, optimizer, scheduler_step, data, held_out)
    return held_out.result(finite, time.process_time() - begin)


@lru_cache(maxsize=4)
def data_of(name: str) -> AbstractData:
    """Return the data of a network, loaded once.

    Args:
        name: Of the network.
    """
    return NETWORKS[name].data()


def _optimizer(network: Network, cell: Cell, model: nn.Module) -> Optimizer:
    usual, parameters = network.usual, list(model.parameters())
    if cell.schedule == SCHEDULE_FREE:
        kind = SGDScheduleFree if usual.is_sgd else AdamWScheduleFree
        return kind(parameters, weight_decay=usual.weight_decay)
    if cell.schedule in PACKAGES:
        with redirect_stdout(StringIO()):  # it says how it decays weights
            return Prodigy(parameters, lr=1.0, weight_decay=usual.weight_decay)
    return usual.make(parameters, usual.lr * 2.0**cell.octave)


def step_of(optimizer: Optimizer, schedule: str, policy: Policy | None, horizon: int, hidden: bool) -> Step:
    """Return what is called with the training loss after each step of the optimizer.

    Args:
        optimizer: With one parameter group, whose LR is set.
        schedule: A key of `multiplier`'s, where there is no policy.
        policy: Where the schedule is a learned one.
        horizon: Steps.
        hidden: Whether the policy gets the losses alone.
    """
    if policy is None:
        fixed = LambdaLR(optimizer, lambda step: multiplier(schedule, min(step, horizon), horizon))
        return lambda _: fixed.step()
    if not hidden:
        return LearnedLR(optimizer, policy, horizon=horizon).step
    policy = policy if isinstance(policy, SchedulePolicy) else load_policy(policy)
    (group,) = optimizer.param_groups
    by_losses = policy.schedule(group["lr"], horizon)
    group["lr"] = by_losses.lr

    def set_lr(loss: Tensor) -> None:
        group["lr"] = by_losses(loss.item())

    return set_lr


def _train(
    network: Network,
    cell: Cell,
    model: nn.Module,
    optimizer: Optimizer,
    scheduler_step: Step,
    data: AbstractData,
    held_out: "_HeldOut",
) -> bool:
    """Return whether all training losses were finite."""
    batches = data.batches(network.batch, cell.seed)
    for step in range(1, cell.horizon + 1):
        batch = next(batches)
        optimizer.zero_grad()
        loss = network.loss(model, batch)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        scheduler_step(loss.detach())
        held_out.recent.append(batch)
        if not math.isfinite(loss.item()):
            return False
        if step * CHECKPOINTS // cell.horizon > (step - 1) * CHECKPOINTS // cell.horizon:
            held_out.read(is_last=step == cell.horizon)
    return True


class _HeldOut:
    """Held-out losses of one run.

    Args:
        network: What is trained.
        model: Its module, with the weights of the start.
        optimizer: Schedule-Free's are switched to their averaged weights for each reading.
        data: Held-out samples.
    """

    def __init__(self, network: Network, model: nn.Module, optimizer: Optimizer, data: AbstractData) -> None:
        self._network, self._model, self._optimizer, self._data = network, model, optimizer, data
        self._averages = isinstance(optimizer, SGDScheduleFree | AdamWScheduleFree)
        self._has_statistics = any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in model.modules())
        self.recent: deque[Batch] = deque(maxlen=RECENT)
        self._least, self._best, self._last, self._tuning = math.inf, math.inf, math.inf, math.inf
        with self._evaluation():
            self._start = self._loss(data.tuning), self._loss(data.score)

    def read(self, is_last: bool) -> None:
        """Read the losses at a checkpoint."""
        with self._evaluation():
            self._tuning = self._loss(self._data.tuning)
            is_best = self._tuning < self._least
            if is_last or is_best:
                self._last = self._loss(self._data.score)
            if is_best:
                self._least, self._best = self._tuning, self._last

    def result(self, finite: bool, seconds: float) -> Result:
        """Return the scores of a run; `finite` says whether it came to its end."""
        tuning, start = self._start
        best, diverged = log_ratio(self._best, start), round(DIVERGED_SCORE, DIGITS)
        if not finite:
            return Result(diverged, best, diverged, round(seconds, 2))
        return Result(log_ratio(self._last, start), best, log_ratio(self._tuning, tuning), round(seconds, 2))

    def _loss(self, batch: Batch) -> float:
        return self._network.loss(self._model, batch).item()

    @contextmanager
    def _evaluation(self) -> Iterator[None]:
        """Dropout off, running statistics on, averaged weights in place; without gradients."""
        with torch.no_grad():
            if self._averages:
                self._optimizer.eval()  # type: ignore[attr-defined]
                for batch in self.recent if self._has_statistics else ():
                    self._network.loss(self._model, batch)
            self._model.eval()
            yield
            self._model.train()
            if self._averages:
                self._optimizer.train()  # type: ignore[attr-defined]


@lru_cache(maxsize=8)
def policy_of(path: str, fingerprint: str) -> SchedulePolicy:
    """Return a policy, loaded once.

    Args:
        path: Its name or path.
        fingerprint: That it must have.

    Raises:
        PolicyError: It can't be loaded, or has another fingerprint.
    """
    return load_policy(path, fingerprint)
