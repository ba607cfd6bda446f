"""The torch scheduler contract, once, for every rule that answers to a metric."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, SupportsFloat

import torch
from torch.compiler import disable, is_compiling
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lrpilot.arrays import number, positive, whole
from lrpilot.notices import NO_LOSS_SEEN, NOT_STEPPED, SET_FROM_OUTSIDE, Notices
from lrpilot.schedulers.groups import LR, BaseLRs, write_lr
from lrpilot.schedulers.losses import Losses
from lrpilot.states import StateError, check_alike

# Whether each function that is called is about to be compiled: None if not.
_eval_frame = getattr(getattr(torch._C, "_dynamo", None), "eval_frame", None)  # where torch is built with it
compiles_frames: Callable[[], object] = getattr(_eval_frame, "get_eval_frame_callback", lambda: None)
UNANSWERED = 3  # steps of the optimizer without one of the scheduler that are no accident
SEEN = "seen"  # what we write over the True by which torch marks that the optimizer made a step; it is true as well


class MissingLRError(KeyError, ValueError):
    """A parameter group has no `initial_lr` though a run goes on; torch's own schedulers raise a KeyError there."""

    def __str__(self) -> str:
        return str(self.args[0])


class AbstractMetricLR(LRScheduler):
    """An `LRScheduler` whose LR answers to a stream of losses.

    Losses are collected, and read only where the rule decides: nothing synchronises an accelerator in between. The
    LRs are functions of the user's base LRs and of the rule's own state, never of what stands in the optimizer. A group
    keeps its base LR wherever it stands; one added later comes with what it would have had at the start.

    A subclass calls `_begin` first, sets its own fields, and calls `super().__init__` last (which makes the initial
    step). It says when it decides, how, and what the LRs then are.

    Args:
        optimizer: Any torch optimizer; LRs may be floats or tensors.
        last_epoch: Steps already made, or -1 for a new run.
    """

    _outside_graph: Callable[..., None] | None = None  # steps or observes where a compiled function calls for it

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self._losses = Losses()
        self._listening = True  # whether a decision will come that wants the losses
        self._decided = False  # whether any loss was seen yet
        self._unanswered = (0, 0)  # steps of the optimizer that were observed since a step, and which
        self._ahead: int | None = None  # last_epoch less the number of steps; None while torch moves both
        if AbstractMetricLR._outside_graph is None:  # by now the optimizer has imported what this takes long to import
            AbstractMetricLR._outside_graph = disable(_step_or_observe)  # type: ignore[no-untyped-call]
        super().__init__(optimizer, last_epoch)

    def _begin(self, optimizer: Optimizer, last_epoch: int) -> BaseLRs:
        """Meet the parameter groups."""
        whole("last_epoch", last_epoch, -1, "steps")
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"optimizer must be a torch optimizer: {type(optimizer).__name__} is not an Optimizer")
        if last_epoch != -1:
            missing = [i for i, group in enumerate(optimizer.param_groups) if "initial_lr" not in group]
            if missing:
                raise MissingLRError(
                    f"initial_lr is missing in parameter group {missing[0]}: last_epoch={last_epoch} goes on with a "
                    "run, so load the optimizer's state first; load_state_dict(state) needs no last_epoch"
                )
        self._notices, self._bases = Notices(), BaseLRs(optimizer)
        return self._bases

    @abstractmethod
    def _lrs(self) -> list[LR]:
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
    def _rescale(self, factor: float) -> None:
        """Be as if all losses handed over so far had been so many times as large."""

    @abstractmethod
    def _own_state(self) -> dict[str, Any]:
        """What the rule remembers, as plain data."""

    @abstractmethod
    def _load_own(self, state: dict[str, Any]) -> None:
        """Restore what `_own_state` returned; `state` may hold other entries. Raises ValueError before any change."""

    def _regroup(self, places: list[int | None]) -> None:
        """Groups came, went or changed places: where each was before, None for a new one."""

    def observe(self, loss: SupportsFloat) -> None:
        """Take in the loss of the step just made, for callers that can't pass it to `step`.

        Several before one `step`, of the parts of a batch for instance, count as their mean. Under
        `torch.distributed` the losses of all ranks are averaged; a rank may have none.

        Args:
            loss: A number, or a tensor with one element on any device; an accelerator is not synchronised
                before the next decision.

        Raises:
            TypeError: It is no number.
            ValueError: A tensor with more than one element.
        """
        if is_compiling() or compiles_frames() is not None:
            self._outside_graph(loss, False)  # type: ignore[misc]
            return
        if self._listening and self.last_epoch >= 0:  # not while another schedule of a sequence has its turn
            self._losses.add(loss)
            if getattr(self.optimizer, "_opt_called", SEEN) is True:
                self._count_unanswered()

    def _count_unanswered(self) -> None:
        self.optimizer._opt_called = SEEN  # type: ignore[attr-defined]
        count, step = self._unanswered
        count = count + 1 if step == self._step_count else 1
        self._unanswered = count, self._step_count
        if count >= UNANSWERED:
            self._notices.once("not stepped", NOT_STEPPED.format(count))

    def step(self, metrics: SupportsFloat | None = None, epoch: int | None = None) -> None:  # type: ignore[override]
        """Set the LR of the next optimizer step; call it once after each `optimizer.step()`.

        Args:
            metrics: The loss of the step just made; None if it was given to `observe`.
            epoch: Deprecated in torch and ignored: the state is a stream of losses, it can't jump.
        """
        if is_compiling() or compiles_frames() is not None:
            self._outside_graph(metrics, True)  # type: ignore[misc]
            return
        if self._step_count:  # not at the initial step
            decides = self._decides()
            losses = self._losses.end_step(decides, metrics) if self._listening else []
            if losses:
                self._decided = True
            self._advance(losses, decides)
            if decides and not self._decided:
                self._notices.once("no loss", NO_LOSS_SEEN)
        if self._step_count < 2:  # torch has something to say of the first two
            self._ahead = None
            super().step()
            self._ahead = self.last_epoch - self._step_count
        else:
            self._step_count += 1
            self.last_epoch += 1
            self._write_lrs()

    def _write_lrs(self) -> None:
        groups, known = self.optimizer.param_groups, self._bases.groups
        if len(groups) != len(known):
            self._regroup(self._bases.meet())
            groups, known = self.optimizer.param_groups, self._bases.groups
        last_lr = self._lrs()
        for index, group in enumerate(groups):
            if group is not known[index]:  # looked at here, since a loop of its own would cost as much again
                self._regroup(self._bases.meet())
                self._write_lrs()
                return
            if type(group["lr"]) is float:
                group["lr"] = last_lr[index]
            else:
                last_lr[index] = write_lr(group, last_lr[index])
        self._last_lr = last_lr

    def get_lr(self) -> list[LR]:
        """Return the LR of each group; has no side effect on the schedule."""
        if self._ahead is not None and self.last_epoch - self._step_count != self._ahead:
            self._notices.once("set from outside", SET_FROM_OUTSIDE)
        if self._bases.changed():
            self._regroup(self._bases.meet())
        return self._lrs()

    @property
    def base_lrs(self) -> list[LR]:
        """Base LR of each parameter group, per step: its `initial_lr`."""
        return self._bases.values

    @base_lrs.setter
    def base_lrs(self, values: Sequence[LR]) -> None:
        self._bases.set(values)

    def rescale_loss(self, factor: float) -> None:
        """Say that from the next loss on all losses are so many times as large, since you changed what is computed.

        Args:
            factor: Positive: 64.0 where a mean over 64 examples becomes their sum.

        Raises:
            TypeError: It is no number.
            ValueError: It is not positive, or not finite.
        """
        factor = positive("factor", factor)
        self._losses.rescale(factor)
        self._rescale(factor)

    def state_dict(self) -> dict[str, Any]:
        """Return the state as plain data: it loads with `torch.load(weights_only=True)`."""
        counts = {"last_epoch": self.last_epoch, "_step_count": self._step_count}
        flags = {"_decided": self._decided, "warned": self._notices.state()}
        lrs = {"base_lrs": list(self.base_lrs), "_last_lr": list(self._last_lr)}
        return {**counts, **flags, **lrs, "losses": self._losses.state(), **self._own_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore a state, and write its LRs into the optimizer unless others wrote there; the run goes on bit for bit.

        What the scheduler was made with (base LRs, limits, warm-up) is the state's; see the class for what is not.

        Args:
            state_dict: What `state_dict` returned.

        Raises:
            ValueError: It is no state of such a scheduler, or can't be taken over; the message says why.
        """
        before = self.state_dict()
        try:
            check_alike(before, state_dict)
            self._load(state_dict)
        except StateError:
            self._load(before)
            raise
        except Exception as error:
            self._load(before)
            raise StateError(f"this is no state of a {type(self).__name__} ({type(error).__name__}: {error})") from None

    def _load(self, state: dict[str, Any]) -> None:
        own = ("last_epoch", "_step_count", "_decided", "base_lrs", "_last_lr")
        missing = [key for key in (*own, "losses") if key not in state]
        if missing:
            raise StateError(f"this is no state of a {type(self).__name__}: {', '.join(missing)} missing")
        groups, saved = len(self.optimizer.param_groups), len([number("base_lrs", lr) for lr in state["base_lrs"]])
        if saved > groups:
            raise StateError(
                f"the state has {saved} parameter groups and the optimizer {groups}: add those that were added in the "
                "run before the state is loaded"
            )
        lrs_are_ours = [float(group["lr"]) for group in self.optimizer.param_groups] == [*map(float, self._last_lr)]
        self._load_own(state)
        self._losses.load(state["losses"])
        self._bases.set(state["base_lrs"])
        self._ahead = state["last_epoch"] - state["_step_count"]
        self.last_epoch, self._step_count = state["last_epoch"], state["_step_count"]
        self._decided = state["_decided"]
        self._notices.given = {*state.get("warned", ["no loss"] if state.get("_warned") else [])}
        self._last_lr = list(state["_last_lr"])
        if lrs_are_ours:
            self._write_lrs()


def _step_or_observe(scheduler: AbstractMetricLR, loss: SupportsFloat | None, step: bool) -> None:
    """What a compiled function runs as ordinary Python."""
    if step:
        scheduler.step(loss)
    elif loss is not None:
        scheduler.observe(loss)
