"""GreedyLR: the LR rises while the loss improves and falls while it does not, as a torch scheduler."""

import math
from typing import Any, Literal, get_args

from torch.optim import Optimizer

from lrpilot.arrays import choice, number, whole
from lrpilot.loss_stream import JUMP, REMEMBERED, LossStream
from lrpilot.notices import MANY_BAD, NOT_FINITE
from lrpilot.schedulers.base import AbstractMetricLR
from lrpilot.schedulers.greedy_rule import GreedyRule
from lrpilot.schedulers.greedy_settings import Compat, GreedySettings, Mode, ThresholdMode
from lrpilot.schedulers.groups import LR
from lrpilot.schedulers.ranks import check_same

Bounds = Literal["relative", "absolute"]
Bound = float | list[float] | None
Levels = tuple[list[float], list[float], list[float]]  # starts, lower and upper bounds, one of each a level
LOWEST, HIGHEST = 0.01, 10.0  # bounds over base LR where none are given
LOWEST_THERE, HIGHEST_THERE = 1e-3, 1.0  # those of the class in `transformers`, LRs per step


class GreedyLR(AbstractMetricLR):
    """Divide the LR by F while the metric improves, multiply it by F while it does not.

        scheduler = GreedyLR(optimizer, factor=0.8, patience=1, every=10)
        for …:
            …
            optimizer.step()
            scheduler.step(loss)

    The rule is that of arXiv 2512.14527; `GreedyRule` says what it does, `docs/theory/greedy.md` what can be proved.
    The same multiplier goes to every parameter group, so their ratios stay. A metric that is not finite is left out
    and halves the LR at once.

    To rise, the LR needs `patience` + 1 new best metrics in a row. The losses of single mini-batches hardly ever are
    that, so the LR only falls: average them, by `every` (10 or more, with a patience of 0 or 1) or by `smooth`.

    The rule can't see where an LR stops being stable: it climbs while the metric falls, and once that only fluctuates,
    the LR wanders between its bounds. So both are bounded by default, relative to the optimizer's LR: by a tenfold
    rise, since one guesses an LR to its order of magnitude, and by a hundredth, so that it can end low but not at 0.

    Args:
        optimizer: Any torch optimizer. Its LR is the base LR.
        mode: Whether a lower ("min") or a higher ("max") metric is better.
        factor: F, in (0, 1).
        patience: Decisions in a row that must be better (or not better) before the LR moves, less one.
        threshold: By how much the best metric so far must be beaten, at least 0.
        threshold_mode: "abs": by `threshold`; "rel": by `threshold` times the best metric's size.
        cooldown: Decisions to wait after the LR fell; the best metric is not updated meanwhile.
        warmup: Decisions to wait after the LR rose; likewise.
        min_lr: Smallest LR, in the unit that `bounds` says. None: base LR / 100.
        max_lr: Largest LR, likewise. None: 10 base LR.
        eps: Changes that are not larger are not made; in the same unit.
        verbose: Whether to print each change.
        smooth: Whether the mean of the last `window_size` metrics takes the place of the metric.
        window_size: How many metrics are averaged.
        reset_start: After so many falls asked for at the floor, everything starts again from the base LR. At least 1.
        every: Steps between decisions. The metric is the mean of the losses in between; an accelerator is
            synchronised at decisions only. Leave it at 1 where the metric is of an epoch and `step(metric)` is
            called once an epoch.
        bounds: Unit of `min_lr`, `max_lr` and `eps`. "relative": multiples of the base LR. "absolute": LRs per step of
            the group with the largest base LR. None: relative, or in compat absolute.
        compat: "transformers": the LRs of the class of that name in `transformers` 5.23, bit for bit, for every
            argument that it accepts (NumPy's numbers are taken as Python's), as long as nobody else writes to the
            optimizer's LR. Each group then has an LR of
            its own, `min_lr` and `max_lr` may be lists with one number a group, and are 0.001 and 1 if None; so an LR
            of 5e-5 can rise and never fall. A NaN stays in the mean for good. `every` must be 1. A group added later
            has the bounds of the last one.
        last_epoch: -1, also where `load_state_dict` resumes a run. Else the number of the last step of a run whose
            scheduler has no state: the LR goes on from what stands in the optimizer.

    Raises:
        TypeError: An argument is no number; the message names it.
        ValueError: An argument is out of range, or `every` not the same on all ranks; likewise.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.1)
        >>> scheduler = GreedyLR(optimizer, factor=0.5, patience=0, every=2, max_lr=3)
        >>> lrs = []
        >>> for loss in (4.0, 3.0, 2.0, 1.0, 1.0, 9.0):
        ...     optimizer.step()
        ...     scheduler.step(loss)
        ...     lrs += scheduler.get_last_lr()
        >>> lrs
        [0.1, 0.2, 0.2, 0.30000000000000004, 0.30000000000000004, 0.15000000000000002]
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: Mode = "min",
        factor: float = 0.95,
        patience: int = 10,
        threshold: float = 1e-6,
        threshold_mode: ThresholdMode = "abs",
        cooldown: int = 0,
        warmup: int = 0,
        min_lr: Bound = None,
        max_lr: Bound = None,
        eps: float = 1e-8,
        verbose: bool = False,
        smooth: bool = False,
        window_size: int = 50,
        reset_start: int = 500,
        *,
        every: int = 1,
        bounds: Bounds | None = None,
        compat: Compat | None = None,
        last_epoch: int = -1,
    ) -> None:
        patient = (patience, threshold, threshold_mode, cooldown, warmup)
        settings = GreedySettings(mode, factor, *patient, eps, smooth, window_size, reset_start, compat)
        if number("every", every) < 1 or (compat and every > 1):
            raise ValueError(f"every must be at least 1, and 1 with compat, not {every}")
        self._absolute = bounds == "absolute"
        self._every, self._verbose = whole("every", every, 1, "steps"), bool(number("verbose", verbose, boolean=True))
        bases = self._begin(optimizer, last_epoch)
        check_same("every", self._every)
        base_lrs = [float(base) for base in bases.values]
        self._rule = GreedyRule(settings, *_levels(base_lrs, min_lr, max_lr, bounds, bool(compat)))
        if last_epoch != -1:
            self._rule.go_on(bases.multiple())
        self._begin_listening()
        super().__init__(optimizer, last_epoch)

    def _begin_listening(self) -> None:
        self._pending: list[float] = []  # losses since the last decision
        self._bad_in_a_row = 0
        self._stream = LossStream()
        self._near = self._range()
        self._unread: list[float] = []  # losses that the stream has not seen yet
        self._before_jump: dict[str, Any] | None = None  # the rule's state before losses jumped

    @property
    def skipped(self) -> int:
        """Decisions without a finite metric so far; each halved the LR."""
        return self._rule.skipped

    def _lrs(self) -> list[LR]:
        rule = self._rule
        if rule.settings.compat is not None:
            return list(rule.levels)
        multiplier = self._multiplier()
        return [base * multiplier for base in self._bases.values]

    def _multiplier(self) -> float:
        rule = self._rule
        multiplier = rule.levels[0] / rule.starts[0]
        if self._absolute and self._bases.largest not in {0.0, rule.starts[0]}:  # groups came or went
            low, high = (bound[0] / self._bases.largest for bound in (rule.min_lrs, rule.max_lrs))
            multiplier = min(max(multiplier, low), high)
        return multiplier

    def _regroup(self, places: list[int | None]) -> None:
        if self._rule.settings.compat is not None:
            self._rule.rearrange(places, [float(base) for base in self._bases.values])

    def _rescale(self, factor: float) -> None:
        self._rule.rescale(factor)
        self._stream.rescale(factor)
        self._unread, self._near = [loss * factor for loss in self._unread], self._range()
        self._pending = [loss * factor for loss in self._pending]

    def _decides(self) -> bool:
        return (self.last_epoch + 1) % self._every == 0

    def _advance(self, losses: list[float], decides: bool) -> None:
        self._pending += losses
        if not (decides and self._pending):
            return
        if self._bad_in_a_row or not math.isfinite(sum(self._pending)):
            self._count_bad()
        if self._absolute and self._multiplier() < self._rule.levels[0] / self._rule.starts[0]:
            self._rule.levels = [self._multiplier() * self._rule.starts[0]]  # since a larger group came
        if self._rule.settings.compat is None and self._rule.settings.mode == "min" and min(self._pending) > 0:
            self._look_for_a_new_scale()
        before, metrics = list(self._rule.levels), self._rule.leaving_room(self._pending)
        self._pending = []
        if metrics:
            self._rule.update(sum(metrics) / len(metrics))
        if self._verbose and self._rule.levels != before:
            print(f"step {self.last_epoch + 1}: LRs {', '.join(f'{float(lr):.4e}' for lr in self._lrs())}")

    def _look_for_a_new_scale(self) -> None:
        """Put what the rule knows on the scale of the newest losses; what it did since they jumped is void.

        Losses are not looked at before there is reason to, or many wait.
        """
        self._unread += self._pending
        alike = self._near[0] <= min(self._pending) and max(self._pending) <= self._near[1]
        if alike and not self._stream.held and len(self._unread) < REMEMBERED:
            return
        before = self._before_jump
        reading = self._stream.read(self._unread)
        self._unread, self._near = [], self._range()
        if before is None and (self._stream.held or reading.factor != 1.0):
            before = self._rule.state()
        self._before_jump = before if self._stream.held else None
        if before is not None and reading.factor != 1.0:
            self._rule.load(before)
            self._rule.rescale(reading.factor)
            self._pending = reading.losses[-len(self._pending) :]

    def _range(self) -> tuple[float, float]:
        """Losses within are nothing new."""
        counted = self._stream.counted
        return (min(counted) / JUMP, max(counted) * JUMP) if counted else (math.inf, 0.0)

    def _count_bad(self) -> None:
        for loss in self._pending:
            self._bad_in_a_row = 0 if math.isfinite(loss) else self._bad_in_a_row + 1
            if self._bad_in_a_row == MANY_BAD:
                self._notices.once("not finite", NOT_FINITE.format(MANY_BAD))

    def _own_state(self) -> dict[str, Any]:
        settings = {"every": self._every, "absolute": self._absolute, "bad_in_a_row": self._bad_in_a_row}
        jump = {"stream": self._stream.state(), "unread": list(self._unread), "before_jump": self._before_jump}
        return {"greedy": self._rule.state(), "pending": list(self._pending), **settings, **jump}

    def _load_own(self, state: dict[str, Any]) -> None:
        self._rule.load(state.get("greedy", {}))
        self._pending = list(state.get("pending", []))
        self._every = whole("every", state.get("every", self._every), 1, "steps")
        self._absolute = state.get("absolute", self._absolute)
        self._bad_in_a_row = state.get("bad_in_a_row", 0)
        self._stream, self._before_jump = LossStream.of(state.get("stream", {})), state.get("before_jump")
        self._unread, self._near = list(state.get("unread", [])), self._range()


def _levels(base_lrs: list[float], min_lr: Bound, max_lr: Bound, bounds: Bounds | None, compat: bool) -> Levels:
    """The one level that all groups share, or in compat one for each."""
    if compat and bounds == "relative":
        raise ValueError("bounds must be absolute with compat, not 'relative'")
    if bounds is not None:
        choice("bounds", bounds, get_args(Bounds))
    if compat:
        starts, lowest, upper = base_lrs, LOWEST_THERE, HIGHEST_THERE
    else:
        start = max(base_lrs, default=1.0) if bounds == "absolute" else 1.0
        starts, lowest, upper = [start], LOWEST * start, HIGHEST * start
    count = len(starts)
    return starts, _column("min_lr", min_lr, lowest, count), _column("max_lr", max_lr, upper, count)


def _column(name: str, value: Bound, default: float, count: int) -> list[float]:
    if isinstance(value, (list, tuple)):
        if len(value) != count:
            raise ValueError(f"{name} must be one number, or {count} in a list, not {value}")
        return [number(name, each) for each in value]
    return [default if value is None else number(name, value)] * count
