"""Warnings about a run: each is given once, and points at the user's line."""

import sys
import warnings
from collections.abc import Iterable

MANY_BAD = 10
NOT_FINITE = "{} losses in a row were not finite: the LR backs off, but weights that are not finite stay so; check them"
NO_LOSS = (
    "losses of 0 (or close to it) have no log, so the schedule leaves them out; the LR goes on as without them. Where "
    "most are 0, average a few steps, or add a constant to what the schedule is told"
)
BELOW_ZERO = (
    "losses are below 0, and the schedule reads logs: from here on it reads loss + {:.4g}, found from their fall so "
    "far. If you know how low they can get, add a constant to what the schedule is told that keeps them above 0"
)
PAST_THE_HORIZON = (
    "step {} of a run of horizon={}: the LR holds its last value from here on. Give as horizon the number of steps "
    "that the run makes; a run that was saved goes on with a longer one"
)
NO_LOSS_SEEN = (
    "no loss seen yet, so nothing can be decided: call scheduler.step(loss), or observe(loss) first, once after each "
    "optimizer.step()"
)
NOT_STEPPED = (
    "the optimizer made {} steps since scheduler.step was called last, and the LR moves with that call alone: call it "
    "once after each optimizer.step() (Lightning: interval='step'); or, where horizon counts longer steps, epochs say, "
    "pass their mean loss to scheduler.step(loss)"
)
SET_FROM_OUTSIDE = (
    "get_lr() was asked for the LR of a step that scheduler.step() was not called for, so the LR holds: call "
    "scheduler.step(loss) after each optimizer.step() yourself, and leave the wrapper out (ignite: add a handler that "
    "calls it)"
)
NO_BOUND = (
    "this policy chooses fractions of a stability bound, and was given none: the optimizer's LR, {:.4g}, stands for "
    "the bound, and stays the same all along. Give bound=, a callable that returns the largest stable LR"
)
TOO_SHORT = (
    "horizon={} is less than the {} decisions that the policy makes in a run: it was not trained for so short ones, "
    "and may not reach a useful LR"
)

OWN = frozenset({"lrpilot", "torch", "lightning", "pytorch_lightning", "transformers", "accelerate", "ignite", "keras"})


class Notices:
    """What a user was warned of in a run.

    Args:
        given: Kinds of warning that were given before, in the part of the run that this one goes on with.
    """

    def __init__(self, given: Iterable[str] = ()) -> None:
        self.given = {*given}

    def once(self, kind: str, message: str) -> None:
        """Warn, unless a warning of that kind was given before.

        Args:
            kind: What the warning is about, in a word or two.
            message: One line: what happened, and the way out.
        """
        if kind in self.given:
            return
        self.given.add(kind)
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] in OWN:
            frame, level = frame.f_back, level + 1
        warnings.warn(message, UserWarning, stacklevel=level)

    def state(self) -> list[str]:
        """Return the kinds that were given, as plain data."""
        return sorted(self.given)
