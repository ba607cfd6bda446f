"""The multiple of its reference that a run's LR is held at: what decisions set, and what losses take off it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lrpilot.arrays import Numbers, elementary
from lrpilot.control import Control, next_back_off

_STATE = {  # name in the state of a schedule -> attribute
    "_log_multiple": "log",
    "_back_off": "back_off",
    "highest": "highest_loss",
    "_cut": "cut",
    "_level": "level",
}
ADDED = {"_cut": 0.0, "_level": 0.0}  # what states of earlier versions lack
HARMFUL = math.log(2.0)  # nats by which losses are higher after one that was not finite, if it did harm


@dataclass
class Multiple:
    """A log multiple m and a back-off, for one run (floats) or for B runs (arrays of shape (B,)).

    Attributes:
        control: What actions and losses do to m.
        log: m.
        highest_loss: Highest finite loss so far, 0 before the first.
        back_off: Factor that answers losses that are not finite, in (0, 1].
        cut: What such losses took off m; given back after an interval that shows that they did no harm.
        level: That of the losses at the last decision before them.
    """

    control: Control
    log: Numbers
    highest_loss: Numbers
    back_off: Numbers = 1.0
    cut: Numbers = 0.0
    level: Numbers = 0.0

    def restart(self, slots: NDArray[np.bool_]) -> None:
        """Begin anew in the marked slots, shape (B,)."""
        begin = {"log": self.control.log_start, "highest_loss": 0.0, "back_off": 1.0, "cut": 0.0, "level": 0.0}
        for name, value in begin.items():
            setattr(self, name, np.where(slots, value, getattr(self, name)))

    @property
    def held(self) -> Any:
        """exp(m) × back-off, for `Control.multiple`."""
        return elementary(self.log).exp(self.log) * self.back_off

    def enter(self, loss: Numbers) -> None:
        """Take in a loss, which may lower m at once: see `Control.after_loss`."""
        f = elementary(loss)
        log, self.highest_loss = self.control.after_loss(self.log, loss, self.highest_loss)
        self.cut = self.cut + f.where(f.isfinite(loss), 0.0, self.log - log)
        self.log = log

    def close(self, saw_non_finite: Any, heard: Any, level: Numbers) -> None:
        """End an interval.

        Args:
            saw_non_finite: Whether it had a loss that is not finite.
            heard: Whether it had a loss that counts.
            level: Mean log of its losses, over the first one; unchanged if there was none.
        """
        f = elementary(self.log)
        self.back_off = next_back_off(self.back_off, saw_non_finite)
        harmless = (saw_non_finite < heard) & (level - self.level <= HARMFUL)
        self.log = f.minimum(self.log + f.where(harmless, self.cut, 0.0), self.control.log_high)
        self.cut = f.where(harmless, 0.0, self.cut)
        self.level = f.where(self.cut == 0.0, level, self.level)

    def state(self) -> dict[str, float]:
        """Return what changes over a run, one run's, by the names that states have."""
        return {key: getattr(self, attribute) for key, attribute in _STATE.items()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Restore what `state` returned; `state` may hold other entries."""
        for key, attribute in _STATE.items():
            setattr(self, attribute, {**ADDED, **state}[key])

    def decide(self, action: Numbers, heard: Any = True) -> None:
        """Set m by an action, where there was anything new to decide on."""
        self.log = elementary(self.log).where(heard, self.control.log_multiple(action, self.log), self.log)
