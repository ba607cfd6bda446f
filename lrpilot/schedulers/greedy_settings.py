"""What GreedyLR can be told, and what each argument may be."""

import math
from dataclasses import dataclass, fields
from typing import Literal, get_args

from lrpilot.arrays import choice, number, whole_number

Mode = Literal["min", "max"]
ThresholdMode = Literal["abs", "rel"]
Compat = Literal["transformers"]


@dataclass(frozen=True)
class GreedySettings:
    """Everything that the rule of arXiv 2512.14527 can be told, but the bounds.

    A *step* here is one metric given to the rule.

    Attributes:
        mode: Whether a lower ("min") or a higher ("max") metric is better.
        factor: F, in (0, 1): the levels are divided by it to rise and multiplied by it to fall.
        patience: Steps in a row that must be better (or not better) before a move is asked for, less one.
        threshold: By how much the best metric so far must be beaten, at least 0.
        threshold_mode: "abs": by `threshold`; "rel": by `threshold` times the best metric's size.
        cooldown: Steps to wait after the levels fell; the best metric is not updated meanwhile.
        warmup: Steps to wait after the levels rose; likewise.
        eps: Changes of a level that are not larger are not made; in the unit of the levels.
        smooth: Whether the mean of the last `window_size` metrics takes the place of the metric.
        window_size: How many metrics are averaged.
        reset_start: After so many falls asked for at the floor, everything starts again. At least 1.
        compat: None, or "transformers": exactly what the class of `transformers` 5.23 does, defects included.

    Raises:
        ValueError: A setting is out of range; the message names it.
    """

    mode: Mode = "min"
    factor: float = 0.95
    patience: int = 10
    threshold: float = 1e-6
    threshold_mode: ThresholdMode = "abs"
    cooldown: int = 0
    warmup: int = 0
    eps: float = 1e-8
    smooth: bool = False
    window_size: int = 50
    reset_start: int = 500
    compat: Compat | None = None

    def __post_init__(self) -> None:
        for entry in fields(self):
            if isinstance(entry.default, int | float):
                plain = number(entry.name, getattr(self, entry.name), boolean=isinstance(entry.default, bool))
                object.__setattr__(self, entry.name, plain)
        choice("mode", self.mode, get_args(Mode))
        choice("threshold_mode", self.threshold_mode, get_args(ThresholdMode))
        choice("compat", self.compat, (None, *get_args(Compat)))
        rules = {"factor": (self.factor < 1, "below 1")}
        for name, (kept, allowed) in (rules if self.compat else {**rules, **self._stricter()}).items():
            if not kept:
                raise ValueError(f"{name} must be {allowed}, not {getattr(self, name)!r}")
            if isinstance(getattr(type(self), name, None), int) and not (
                self.compat or whole_number(getattr(self, name))
            ):
                raise ValueError(f"{name} must be a whole number, not {getattr(self, name)!r}")

    def _stricter(self) -> dict[str, tuple[bool, str]]:
        """Rules without which the levels do what nobody wants; the class of `transformers` does without."""
        return {
            "factor": (0 < self.factor < 1, "above 0 and below 1"),
            "patience": (self.patience >= 0, "at least 0"),
            "threshold": (0 <= self.threshold < math.inf, "a finite number, at least 0"),
            "cooldown": (self.cooldown >= 0, "at least 0"),
            "warmup": (self.warmup >= 0, "at least 0"),
            "eps": (0 <= self.eps < math.inf, "a finite number, at least 0"),
            "window_size": (self.window_size >= 1, "at least 1"),
            "reset_start": (self.reset_start >= 1, "at least 1"),
        }
