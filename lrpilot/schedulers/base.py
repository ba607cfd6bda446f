"""The torch scheduler contract, once, for every rule that answers to a metric."""

import warnings
from abc import abstractmethod
from typing import Any, SupportsFloat

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrpilot.schedulers.losses import Losses


class AbstractMetricLR(LRScheduler):
    """An `LRScheduler` whose LR answers to a stream of losses.

    Losses are collected, and read only where the rule decides: nothing synchronises an accelerator in between. The
    LRs are functions of the user's base LRs and of the rule's own state, never of what stands in the optimizer. A group
    added later comes with its base LR, that is what it would have had at the start.

    A subclass sets its own fields first and calls `super().__init__` last (which makes the initial step), and says when
    it decides, how, and what the LRs then are.

    Args:
        optimizer: Any torch optimizer; LRs may be floats or tensors.
        last_epoch: Steps already made, or -1 for a new run.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._losses = Losses()
        self._listening = True  # whether a decision will come that wants the losses
        self._decided = False  # whether any loss was seen yet
        self._warned = False
        super().__init__(optimizer, last_epoch)

    @abstractmethod
    def _lrs(self) -> list[float | Tensor]:
        """LR of each group, per step; has no side effect."""

    @abstractmethod
    def _decides(self) -> bool:
        """Whether the step that is being made ends with a decision; the same on all ranks."""

    @abstractmethod
    def _advance(self, losses: list[float], decides: bool) -> None:
        """Move on by one step.

        Args:
            losses: Mean loss of each step since the last that was handed over, finite or not. All of them at a
                decision; before it those that are at hand.
            decides: Whether the step ends with a decision.
        """

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What the rule remembers, as plain data."""

    @abstractmethod
    def _load_own(self, state: dict[str, Any]) -> None:
        """Restore what `_own_state` returned; `state` may hold other entries. Raises ValueError before any change."""

    def observe(self, loss: SupportsFloat) -> None:
        """Take in the loss of the step just made, for callers that can't pass it to `step`.

        Several before one `step`, of the parts of a batch for instance, count as their mean. Under
        `torch.distributed` the losses of all ranks are averaged; a rank may have none.

        Args:
            loss: A number, or a tensor with one element on any device; an accelerator is not synchronised
                before the next decision.

        Raises:
            ValueError: A tensor with more than one element.
        """
        if self._listening:
            self._losses.add(loss)

    def step(self, metrics: SupportsFloat | None = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Set the LR of the next optimizer step; call it once after each `optimizer.step()`.

        Args:
            metrics: The loss of the step just made; None if it was given to `observe`.
            epoch: Deprecated in torch and ignored: the state is a stream of losses, it can't jump.
        """
        if self._step_count:  # not at the initial step
            decides = self._decides()
            losses: list[float] = []
            if self._listening:
                if metrics is not None:
                    self._losses.add(metrics)
                losses = self._losses.end_step(decides)
            self._decided = self._decided or bool(losses)
            self._advance(losses, decides)
            if decides and not (self._decided or self._warned):
                self._warned = True
                message = "no loss seen yet, so the LR holds: call scheduler.step(loss), or observe(loss) first"
                warnings.warn(message, UserWarning, stacklevel=2)
        if self._step_count < 2:  # torch has something to say of the first two
            super().step()
        else:
            self._step_count += 1
            self.last_epoch += 1
            self._write_lrs()

    def _write_lrs(self) -> None:
        last_lr: list[float | Tensor] = []
        for group, lr in zip(self.optimizer.param_groups, self._lrs(), strict=True):
            if type(group["lr"]) is not float and isinstance(group["lr"], Tensor):  # compiled graphs hold on to it
                group["lr"].fill_(lr)
                lr = group["lr"].clone()
            else:
                group["lr"] = lr
            last_lr.append(lr)
        self._last_lr = last_lr

    def get_lr(self) -> list[float | Tensor]:
        """Return the LR of each group; has no side effect on the schedule."""
        return self._lrs()

    def _scaled(self, multiplier: float) -> list[float | Tensor]:
        """Base LR of each group times a multiplier; a group added since the last step begins with its LR as base."""
        if len(self.base_lrs) < len(self.optimizer.param_groups):
            for group in self.optimizer.param_groups[len(self.base_lrs) :]:
                lr = group.setdefault("initial_lr", group["lr"])
                self.base_lrs.append(lr.clone() if isinstance(lr, Tensor) else lr)
        return [base * multiplier for base in self.base_lrs]

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data: it loads with `torch.load(weights_only=True)`."""
        counts = {"last_epoch": self.last_epoch, "_step_count": self._step_count}
        flags = {"_decided": self._decided, "_warned": self._warned}
        lrs = {"base_lrs": list(self.base_lrs), "_last_lr": list(self._last_lr)}
        return {**counts, **flags, **lrs, "losses": self._losses.state(), **self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state; the run goes on bit for bit.

        Args:
            state_dict: What `state_dict` returned, of a scheduler with the same arguments.

        Raises:
            ValueError: It is no state of such a scheduler.
        """
        own = ("last_epoch", "_step_count", "_decided", "_warned", "base_lrs", "_last_lr")
        missing = [key for key in (*own, "losses") if key not in state_dict]
        if missing:
            raise ValueError(f"this is no state of a {type(self).__name__}: {', '.join(missing)} missing")
        groups = len(self.optimizer.param_groups)
        if len(state_dict["base_lrs"]) > groups:
            raise ValueError(
                f"the state has {len(state_dict['base_lrs'])} parameter groups and the optimizer {groups}: add those "
                "that were added in the run before the state is loaded"
            )
        self._load_own(state_dict)
        self._losses.load(state_dict["losses"])
        for key in own:
            value = state_dict[key]
            setattr(self, key, list(value) if isinstance(value, list) else value)


def base_lrs_of(optimizer: Optimizer) -> list[float]:
    """Return the base LR of each group; of what is no optimizer none, since `LRScheduler` says so."""
    groups = optimizer.param_groups if isinstance(optimizer, Optimizer) else []
    return [float(group.get("initial_lr", group["lr"])) for group in groups]
