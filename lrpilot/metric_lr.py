"""The torch scheduler contract, once, for every rule that answers to a metric."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from typing import SupportsFloat

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class AbstractMetricLR(LRScheduler):
    """An `LRScheduler` whose LR answers to a stream of losses: one multiplier for all parameter groups.

    A subclass sets its own fields first and calls `super().__init__` last (which makes the initial step), and
    says how an observation and a step change its multiplier.

    Args:
        optimizer: Any torch optimizer; LRs may be floats or tensors.
        last_epoch: Steps already made, or -1 for a new run.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._waiting: list[Tensor] = []  # losses still on their device, read together at the next decision
        self._warned = False
        super().__init__(optimizer, last_epoch)

    @property
    @abstractmethod
    def multiplier(self) -> float:
        """LR over base LR, the same for all groups."""

    @abstractmethod
    def _observe(self, loss: float) -> None:
        """Take in one loss."""

    @abstractmethod
    def _advance(self) -> None:
        """Move on by one step."""

    @abstractmethod
    def _wants_losses(self) -> bool:
        """Whether the next `_advance` will read what was observed."""

    def observe(self, loss: SupportsFloat) -> None:
        """Take in the loss of the step just made, for callers that can't pass it to `step`.

        Args:
            loss: A number, or a tensor with one element on any device; an accelerator is not synchronised
                before the next decision.

        Raises:
            ValueError: A tensor with more than one element.
        """
        if isinstance(loss, Tensor):
            if loss.numel() != 1:
                raise ValueError(f"the loss must have one element, not shape {tuple(loss.shape)}")
            if loss.device.type != "cpu":
                self._waiting.append(loss.detach().reshape(()))
                return
            loss = loss.item()
        self._observe(float(loss))

    def step(self, metrics: SupportsFloat | None = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Set the LR of the next optimizer step; call it once after each `optimizer.step()`.

        Args:
            metrics: The loss of the step just made; None if it was given to `observe`.
            epoch: Deprecated in torch and ignored: the state is a stream of losses, it can't jump.
        """
        if not self._is_initial:
            if metrics is not None:
                self.observe(metrics)
            if self._waiting and self._wants_losses():
                self._drain()
            self._advance()
        super().step()

    def get_lr(self) -> list[float | Tensor]:
        """Return the LR of each group; has no side effect on the schedule."""
        for group in self.optimizer.param_groups[len(self.base_lrs) :]:  # added since the last step
            lr = group.setdefault("initial_lr", group["lr"])
            self.base_lrs.append(lr.clone() if isinstance(lr, Tensor) else lr)
        return [base * self.multiplier for base in self.base_lrs]

    def _drain(self) -> None:
        """Read all waiting losses in one transfer."""
        waiting, self._waiting = self._waiting, []
        for loss in torch.stack(waiting).tolist() if waiting else ():
            self._observe(loss)

    def _warn_once(self, message: str) -> None:
        if not self._warned:
            self._warned = True
            warnings.warn(message, UserWarning, stacklevel=4)
