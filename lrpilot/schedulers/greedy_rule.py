"""GreedyLR's rule without any framework: a stream of metrics moves a list of LR levels up and down."""

import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from lrpilot.control import BACK_OFF
from lrpilot.schedulers.greedy_settings import GreedySettings
from lrpilot.states import StateError
from lrpilot.summary import SMALLEST_LOSS

HUGE = 2.0**1000  # the sum of larger metrics could overflow, so they count as infinite


class GreedyRule:
    """Raise all levels by 1/F after a run of better metrics, lower them by F after a run of others.

    "Better" means better than the best so far, by more than the threshold. A metric that is not finite (or above
    2^1000 in size) is left out, and the levels are halved at once, down to their floor; that counts as a fall.
    A level is at its floor once it can't fall any more: at its `min_lr`, or where a fall would be no larger than
    `eps`.

    With `compat="transformers"` a NaN is a metric like any other, so it never leaves the mean; "rel" multiplies the
    best metric by 1 ∓ threshold, so that a negative one is beaten by what is worse; the mean is taken of a running
    sum, which drifts; only `min_lr` is a floor; and a level may start outside its bounds.

    Args:
        settings: What the rule was told.
        starts: The levels at the start and after a reset: LRs per step, or LRs over base LR.
        min_lrs: Their lower bounds, same length and unit.
        max_lrs: Their upper bounds, same length and unit.

    Attributes:
        levels: The levels now.
        skipped: Metrics so far that were not finite and hence left out.
        starts, min_lrs, max_lrs: As the arguments.

    Raises:
        ValueError: The bounds don't satisfy 0 <= min_lr <= start <= max_lr; in compat they need not.

    Example:
        >>> rule = GreedyRule(GreedySettings(factor=0.5, patience=1), [1.0], [0.1], [4.0])
        >>> trace = []
        >>> for loss in (3.0, 2.0, 2.5, 2.5, 2.5, 2.5, math.nan):
        ...     rule.update(loss)
        ...     trace += rule.levels
        >>> trace
        [1.0, 2.0, 2.0, 1.0, 1.0, 0.5, 0.25]
    """

    def __init__(
        self, settings: GreedySettings, starts: Sequence[float], min_lrs: Sequence[float], max_lrs: Sequence[float]
    ) -> None:
        self.settings = settings
        self.skipped = 0
        self.levels: list[float] = []
        self.starts: list[float] = []
        self.min_lrs: list[float] = []
        self.max_lrs: list[float] = []
        for start, min_lr, max_lr in zip(starts, min_lrs, max_lrs, strict=True):
            self.add(start, min_lr, max_lr)
        self._sign = 1.0 if settings.mode == "min" else -1.0
        self._forget()

    def _forget(self) -> None:
        """Be as at the start, but for the levels."""
        self._best = math.inf
        self._window: list[float] = []
        self._sum = 0.0  # of the window; read in compat only, where its rounding errors are part of the trace
        self._good: int = 0  # better metrics in a row
        self._bad: int = 0  # others in a row
        self._wait: int = 0  # metrics still to be waited for
        self._floor_hits: int = 0  # falls asked for at the floor

    def add(self, start: float, min_lr: float, max_lr: float) -> None:
        """Take in one more level, which moves with the others from now on.

        Args:
            start: The level now and after a reset.
            min_lr: Its lower bound, same unit.
            max_lr: Its upper bound, same unit.

        Raises:
            ValueError: As the class.
        """
        kept = 0 <= min_lr <= start <= max_lr < math.inf and start > 0
        if not (kept or self.settings.compat):
            allowed = f"0 <= min_lr <= start <= max_lr < inf with a start above 0, here {start}"
            raise ValueError(f"min_lr and max_lr must satisfy {allowed}, not {min_lr} and {max_lr}")
        columns = (self.levels, self.starts, self.min_lrs, self.max_lrs)
        for values, value in zip(columns, (start, start, min_lr, max_lr), strict=True):
            values.append(float(value))

    def rearrange(self, places: Sequence[int | None], starts: Sequence[float]) -> None:
        """Put the levels in a new order.

        Args:
            places: For each level its place until now; None for a new one, which has the bounds of the last.
            starts: Starts of the new ones, at their places.
        """
        columns = (self.levels, self.starts, self.min_lrs, self.max_lrs)
        old = [*zip(*columns, strict=True)]
        low, high = old[-1][2:] if old else (0.0, math.inf)
        for values in columns:
            values.clear()
        for place, start in zip(places, starts, strict=True):
            self.add(*((start, low, high) if place is None else old[place][1:]))
            self.levels[-1] = start if place is None else old[place][0]

    def go_on(self, multiple: float) -> None:
        """Be at so many times the starts, as far as the bounds allow."""
        wanted = zip(self.starts, self.min_lrs, self.max_lrs, strict=True)
        self.levels = [min(max(start * multiple, low), high) for start, low, high in wanted]

    def rescale(self, factor: float) -> None:
        """Be as if all metrics so far had been so many times as large."""
        self._best, self._sum = self._best * factor, self._sum * factor
        self._window = [value * factor for value in self._window]

    def leaving_room(self, metrics: list[float]) -> list[float]:
        """Return the metrics without those of 0, if others were positive so far: few may be 0 by chance.

        Nothing is better than 0, so the levels would fall ever after. Where most are 0, they say something.
        """
        if self.settings.compat is not None or min(metrics) >= SMALLEST_LOSS or not 0 < self._best < math.inf:
            return metrics
        room = [metric for metric in metrics if not abs(metric) < SMALLEST_LOSS]
        return room if 2 * len(room) >= len(metrics) or not room else metrics

    def update(self, metric: float) -> None:
        """Take in one metric and move the levels.

        Args:
            metric: What is to be minimised or maximised, in any unit.
        """
        settings = self.settings
        value = self._sign * float(metric)  # from here on, lower is better
        if settings.compat is None and not abs(value) <= HUGE:
            self._back_off()
            return
        if settings.smooth:
            value = self._mean_with(value)
        if self._wait > 0:
            self._wait -= 1
            return
        if value < self._target():
            self._best, self._good, self._bad = value, self._good + 1, 0
        else:
            self._good, self._bad = 0, self._bad + 1
        if self._good > settings.patience:
            self._raise()
        elif self._bad > settings.patience:
            self._lower()

    def state(self) -> dict[str, Any]:
        """Return all that changes over a run, and the levels' bounds: plain data in a flat dictionary."""
        values = {name: getattr(self, attribute) for name, attribute in _STATE.items()}
        values |= {"compat": self.settings.compat, "settings": asdict(self.settings)}
        return {name: list(value) if isinstance(value, list) else value for name, value in values.items()}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned; the next levels are bit for bit what they would have been.

        Args:
            state: A dictionary from `state`. Settings and bounds are those of the state.

        Raises:
            ValueError: An entry is missing, or `compat` was another; nothing was changed then.
        """
        missing = [name for name in (*_STATE, "compat") if name not in state]
        if missing:
            raise StateError(f"this is no state of a GreedyRule: {', '.join(missing)} missing")
        if state["compat"] != self.settings.compat:
            raise StateError(f"compat must be {state['compat']!r}, as it was when the state was saved")
        self.settings = GreedySettings(**state["settings"]) if "settings" in state else self.settings
        self._sign = 1.0 if self.settings.mode == "min" else -1.0
        for name, attribute in _STATE.items():
            setattr(self, attribute, list(state[name]) if isinstance(state[name], list) else state[name])

    def _mean_with(self, value: float) -> float:
        self._window.append(value)
        self._sum += value
        if len(self._window) > self.settings.window_size:
            self._sum -= self._window.pop(0)
        exact = self.settings.compat is None
        return (math.fsum(self._window) if exact else self._sum) / len(self._window)

    def _target(self) -> float:
        """What a metric must be below to be better."""
        threshold = self.settings.threshold
        if self.settings.threshold_mode == "abs":
            return self._best - threshold
        if self.settings.compat is not None:
            return self._best * (1.0 - self._sign * threshold)
        return self._best - threshold * abs(self._best) if math.isfinite(self._best) else self._best

    def _raise(self) -> None:
        wanted = [min(old / self.settings.factor, high) for old, high in zip(self.levels, self.max_lrs, strict=True)]
        moves = zip(wanted, self.levels, strict=True)
        self.levels = [new if new - old > self.settings.eps else old for new, old in moves]
        self._floor_hits = self._good = 0
        self._wait = self.settings.warmup

    def _lower(self) -> None:
        wanted = [max(old * self.settings.factor, low) for old, low in zip(self.levels, self.min_lrs, strict=True)]
        before = self.levels
        self.levels = [new if old - new > self.settings.eps else old for new, old in zip(wanted, before, strict=True)]
        may_stick = self.settings.compat is None  # a fall too small to be made is a floor as well
        floored = (
            now <= low or (may_stick and now == old)
            for now, old, low in zip(self.levels, before, self.min_lrs, strict=True)
        )
        if all(floored):
            self._floor_hits += 1
            if self._floor_hits >= self.settings.reset_start:
                self.levels = list(self.starts)
                self._forget()
        self._bad = 0
        self._wait = self.settings.cooldown

    def _back_off(self) -> None:
        self.skipped += 1
        self.levels = [max(old * BACK_OFF, low) for old, low in zip(self.levels, self.min_lrs, strict=True)]
        self._good = self._bad = 0
        self._wait = self.settings.cooldown


_STATE = {  # name in the state -> attribute
    "levels": "levels",
    "starts": "starts",
    "min_lrs": "min_lrs",
    "max_lrs": "max_lrs",
    "skipped": "skipped",
    "best": "_best",
    "window": "_window",
    "sum": "_sum",
    "good": "_good",
    "bad": "_bad",
    "wait": "_wait",
    "floor_hits": "_floor_hits",
}
