"""What held-out losses say, where a training loop tells them: the part of the signals that overfitting shows in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lrpilot.elementary import elementary
from lrpilot.signal_table import Numbers

TINY = float(np.finfo(np.float64).tiny)
HELD_OUT_SLOW = 0.2  # weight of the newest loss in the slow average of their logs


@dataclass
class HeldOut:
    """Running summary of held-out losses, one at most an interval; every field as in `Signals`, which it is part of."""

    has_held_out: Numbers = 0.0  # 1 once a loss was told
    held_out_origin: Numbers = 0.0  # log of the first
    held_out: Numbers = 0.0  # log of the newest, minus origin
    held_out_change: Numbers = 0.0
    held_out_slow: Numbers = 0.0  # average
    held_out_best: Numbers = 0.0
    held_out_since: Numbers = 0.0  # intervals since the best
    held_out_multiple: Numbers = 0.0  # log_multiple at the best
    held_out_gap: Numbers = 0.0  # log of the newest minus that of the training loss
    held_out_age: Numbers = 0.0  # intervals since the newest

    def _close_held_out(self, loss: Numbers, mean: Numbers, log_multiple: Numbers) -> None:
        """Take in what was told in the interval that ends.

        Args:
            loss: Held-out loss, NaN where none was told. Zero and below count as solved.
            mean: Mean log loss of training in the interval.
            log_multiple: Mean log of LR over its reference in the interval.
        """
        f = elementary(mean)
        loss = loss + 0.0 * mean  # for B runs of which nothing is known it is one NaN
        told: Any = f.isfinite(loss)
        first = told & (self.has_held_out == 0)
        x = f.log(f.maximum(f.where(told, loss, 1.0), TINY))
        self.held_out_origin = f.where(first, x, self.held_out_origin)
        level = f.where(told, x - self.held_out_origin, self.held_out)
        self.held_out_change = f.where(told, level - self.held_out, self.held_out_change)
        share = f.where(told, HELD_OUT_SLOW, 0.0)
        self.held_out_slow = self.held_out_slow + share * (level - self.held_out_slow)
        better = told & ((level < self.held_out_best) | first)
        self.held_out_best = f.where(better, level, self.held_out_best)
        self.held_out_since = f.where(better, 0.0, self.held_out_since + self.has_held_out)
        self.held_out_multiple = f.where(better, log_multiple, self.held_out_multiple)
        self.held_out_gap = f.where(told, x - mean, self.held_out_gap)
        self.held_out_age = f.where(told, 0.0, self.held_out_age + self.has_held_out)
        self.held_out = level
        self.has_held_out = f.where(told, 1.0, self.has_held_out)

    def _held_out_entries(self, log_multiple: Numbers) -> list[Numbers]:
        """Their entries of the observation, in order; all are 0 until a loss is told."""
        f = elementary(self.held_out)
        above = (self.held_out_change, self.held_out - self.held_out_slow, self.held_out - self.held_out_best)
        change, slow, best, gap = (f.asinh(100.0 * log) / 2 for log in (*above, self.held_out_gap))
        since, age = (f.asinh(count) / 1.5 for count in (self.held_out_since, self.held_out_age))
        multiple = self.has_held_out * (log_multiple - self.held_out_multiple) / 3
        return [self.held_out / 5, change, slow, best, since, multiple, gap, age, self.has_held_out]
