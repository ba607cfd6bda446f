"""How a policy acts on a run: when it decides, what an action means, and what keeps the LR within limits.

The only definition. Environment, card, scheduler, export and descriptions all use it, for one run (floats) or for B
runs side by side (arrays of shape (B,)).
"""

import math
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal, get_args

import numpy as np

from lrpilot.arrays import Numbers, elementary, number, shown
from lrpilot.summary import SMALLEST_LOSS

Action = Literal["fraction_of_bound", "multiple_of_base"]
Anchor = Literal["constant", "linear"]
Guard = Literal["strict", "relaxed", "off"]

MAX_DECISIONS, MAX_LOG, MAX_POWER = 10_000, 20.0, 4.0
FEW_STEPS, POWER_BASE = 70, 5  # timed in steps: a fifth of the decisions fall within the first 70 steps or so
MANY_STEPS, GROWTH = 10_000, 1 / 3  # timed in steps: longer runs have more decisions
SPIKE = 1.5  # a loss above so many times the highest before it is a spike
RELAXED = 2.0  # "relaxed" may pass the bound by this factor
BACK_OFF, RECOVERY = 0.5, 2 ** (1 / 8)  # answer to an interval with a loss that is not finite, and to one without
LOWEST_BACK_OFF = 2.0**-20


class OutOfRangeError(ValueError):
    """A setting that is out of range.

    Attributes:
        name: Which.
        value: What it was.
        allowed: What it may be.
    """

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"{name} must be {allowed}, not {shown(value)}")


@dataclass(frozen=True)
class Control:
    """How a policy acts.

    With m the log multiple, the wanted LR of a step is

        reference × anchor(progress) × exp(m) × back-off.

    Attributes:
        decisions: K, decisions in a run.
        action: What the reference is: "fraction_of_bound": the stability bound; "multiple_of_base": the base LR.
        anchor: Base schedule over the run. "constant": 1 all along; "linear": falls from 1 to 0.
        log_low: Smallest m.
        log_high: Largest m.
        max_change: If given, an action changes m, by at most so much (action 1). Else it sets m: −1 to `log_low`, 1
            to `log_high`.
        log_start: With a `max_change`, m at the start.
        spike_guard: With a `max_change`, by how much m falls at once after a loss that is a spike. None: never.
        power: 1: decisions are evenly spaced. Above 1: many early, where the LR has to be found, and few later.
        first_interval: If given, decisions are timed in steps, not in shares of the run: so many steps apart at the
            start, however long the run is; see `times`.

    Raises:
        OutOfRangeError: A setting is out of range.
    """

    decisions: int = 40
    _: KW_ONLY
    action: Action = "fraction_of_bound"
    anchor: Anchor = "constant"
    log_low: float = -5.0
    log_high: float = 0.0
    max_change: float | None = None
    log_start: float = 0.0
    spike_guard: float | None = None
    power: float = 1.0
    first_interval: int | None = None

    def __post_init__(self) -> None:
        for name, (kept, allowed) in CONTROL_RULES.items():
            if not kept(self):
                raise OutOfRangeError(name, getattr(self, name), allowed)

    def times(self, horizon: int) -> list[int]:
        """Return after which steps of a run decisions are made.

        Args:
            horizon: Steps of the run, at least 1. With fewer steps than decisions there is a decision at each.

        Returns:
            Increasing numbers of steps below the horizon; the first is 0. With `power` 1 they are `horizon // K`
            apart, so a few more than K if that leaves a remainder. Else decision k = 0, …, K − 1 is made at the share
            (k / K)^power of the horizon, at least a step after the last. With a `first_interval` the power follows
            from the horizon T, p = ln(T / 70) / ln 5 within 1 and 4, no two are closer than that interval while the
            run is long enough for it, and runs of more than 10,000 steps have more decisions, K (T / 10,000)^(1/3).

        Example:
            >>> Control(5).times(20), Control(5, power=2.0).times(20), Control(5, first_interval=4).times(1000)
            ([0, 4, 8, 12, 16], [0, 1, 3, 7, 12], [0, 70, 220, 429, 691])
        """
        if self.first_interval is not None:
            power = min(max(math.log(horizon / FEW_STEPS) / math.log(POWER_BASE), 1.0), MAX_POWER)
            count = round(self.decisions * max(1.0, horizon / MANY_STEPS) ** GROWTH)
            apart = min(self.first_interval, max(1.0, horizon / count))
        elif self.power == 1.0:
            return list(range(0, horizon, max(1, horizon // self.decisions)))
        else:
            power, count, apart = self.power, self.decisions, 1.0
        times = (max(int(k * apart), int(horizon * (k / count) ** power)) for k in range(count))
        return [time for time in times if time < horizon]

    def log_multiple(self, action: Numbers, current: Numbers) -> Any:
        """Return the log multiple that an action asks for.

        Args:
            action: Clipped to [-1, 1]; a float or any shape.
            current: The log multiple until now; at first `log_start`.

        Returns:
            The next one, same shape, within `log_low`..`log_high`.

        Example:
            >>> Control(log_low=-4.0).log_multiple(0.0, 0.0), Control(max_change=1.5).log_multiple(-0.5, 0.0)
            (-2.0, -0.75)
        """
        f = elementary(action)
        action = f.minimum(f.maximum(action, -1.0), 1.0)
        if self.max_change is None:
            return self.log_low + (action + 1) / 2 * (self.log_high - self.log_low)
        return f.minimum(f.maximum(current + action * self.max_change, self.log_low), self.log_high)

    def multiple(self, held: Numbers, progress: Numbers) -> Any:
        """Return the wanted LR over its reference.

        Args:
            held: exp(m) × back-off (see `next_back_off`), which stays between two decisions.
            progress: Share of the horizon used up before this step, in [0, 1).

        Example:
            >>> Control(anchor="linear").multiple(2.0, 0.75)
            0.5
        """
        return held * (1.0 - progress) if self.anchor == "linear" else held * (1.0 + 0.0 * progress)

    def after_loss(self, log_multiple: Numbers, loss: Numbers, highest_loss: Numbers) -> tuple[Any, Any]:
        """Return what a loss changes at once, between two decisions: the spike guard.

        A run that blows up does so within a few steps, and an LR that is lowered at the next decision comes too late.

        Args:
            log_multiple: m until now.
            loss: Newest mini-batch loss.
            highest_loss: Highest finite loss before it, 0 if there was none.

        Returns:
            m, lowered by `spike_guard` after a spike, and the highest finite loss.
        """
        if self.spike_guard is None:
            return log_multiple, highest_loss
        f = elementary(loss)
        lowered = f.maximum(log_multiple - self.spike_guard, self.log_low)
        next_highest = f.where(f.isfinite(loss), f.maximum(loss, highest_loss), highest_loss)
        return f.where(is_spike(loss, highest_loss), lowered, log_multiple), next_highest


def is_spike(loss: Numbers, highest_loss: Numbers) -> Any:
    """Whether a loss says that the run is about to blow up.

    Args:
        loss: Newest mini-batch loss; one that is not finite always says so.
        highest_loss: Highest finite loss before it; 0 if there was none. One too small to count says nothing.

    Returns:
        A bool, or shape (B,).

    Example:
        >>> is_spike(2.9, 2.0), is_spike(3.1, 2.0), is_spike(3.1, 0.0), is_spike(math.nan, 2.0)
        (False, True, False, True)
    """
    if isinstance(loss, np.ndarray):
        return ~np.isfinite(loss) | ((highest_loss >= SMALLEST_LOSS) & (loss > SPIKE * highest_loss))
    return not math.isfinite(loss) or SPIKE * SMALLEST_LOSS <= SPIKE * highest_loss < loss


def next_back_off(factor: Numbers, saw_non_finite: Any) -> Any:
    """Next value of the factor that answers losses that are not finite: halved after one, recovering otherwise.

    Args:
        factor: The factor until now, in (0, 1].
        saw_non_finite: Whether the interval that just ended had such a loss.

    Returns:
        The factor for the next interval, never below 2^-20 and never above 1.

    Example:
        >>> next_back_off(1.0, True), next_back_off(1.0, False)
        (0.5, 1.0)
    """
    f = elementary(factor)
    return f.where(saw_non_finite, f.maximum(factor * BACK_OFF, LOWEST_BACK_OFF), f.minimum(factor * RECOVERY, 1.0))


@dataclass(frozen=True)
class Limits:
    """Limits on an LR: the one place between a policy and an optimizer.

    Attributes:
        guard: "strict" never exceeds the bound, "relaxed" may pass it by a factor of 2, "off" ignores it
            (and policies that choose a fraction of it read it at decisions only).
        lr_min: Smallest LR per step, absolute. The bound wins where the two conflict.
        lr_max: Largest LR per step, absolute.

    Raises:
        OutOfRangeError: An unknown guard, or limits that are not 0 <= lr_min <= lr_max.
        TypeError: One is no number.
    """

    guard: Guard = "strict"
    lr_min: float | None = None
    lr_max: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.guard, str) or self.guard not in get_args(Guard):
            raise OutOfRangeError("guard", self.guard, f"one of {', '.join(get_args(Guard))}")
        for name in ("lr_min", "lr_max"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, number(name, value))
                if not value >= 0:
                    raise OutOfRangeError(name, value, "None or an LR, at least 0")
        if self.lr_min is not None and self.lr_max is not None and self.lr_min > self.lr_max:
            raise OutOfRangeError("lr_min", self.lr_min, f"in 0..lr_max, here {self.lr_max}")

    def clip(self, lr: Any, bound: Any = None) -> Any:
        """Return the LR that is allowed.

        Args:
            lr: Wanted LR per step, a float or shape (B,).
            bound: Largest stable LR per step, same shape; None where there is none.

        Returns:
            The allowed LR, same shape.

        Example:
            >>> float(Limits(lr_min=0.1).clip(0.5, bound=0.2)), float(Limits("off").clip(0.5, bound=0.2))
            (0.2, 0.5)
        """
        f = elementary(lr)
        if self.lr_max is not None:
            lr = f.minimum(lr, self.lr_max)
        if self.lr_min is not None:
            lr = f.maximum(lr, self.lr_min)
        if bound is not None and self.guard != "off":
            lr = f.minimum(lr, bound if self.guard == "strict" else RELAXED * bound)
        return lr


def _is_number(value: Any, low: float = -MAX_LOG, high: float = MAX_LOG) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


_POSITIVE = f"a positive number up to {MAX_LOG}"
CONTROL_RULES: dict[str, tuple[Callable[[Control], bool], str]] = {  # in this order: later ones rely on earlier ones
    "action": (lambda c: c.action in get_args(Action), f"one of {', '.join(get_args(Action))}"),
    "decisions": (
        lambda c: isinstance(c.decisions, int) and _is_number(c.decisions, 1, MAX_DECISIONS),
        f"an integer in 1..{MAX_DECISIONS}",
    ),
    "log_low": (lambda c: _is_number(c.log_low), f"a finite number within ±{MAX_LOG}"),
    "log_high": (
        lambda c: _is_number(c.log_high, c.log_low) and c.log_high > c.log_low,
        f"a finite number above 'log_low' within ±{MAX_LOG}",
    ),
    "max_change": (lambda c: c.max_change is None or _is_number(c.max_change, math.ulp(0.0)), f"None or {_POSITIVE}"),
    "log_start": (
        lambda c: c.max_change is None or _is_number(c.log_start, c.log_low, c.log_high),
        "within log_low..log_high",
    ),
    "spike_guard": (
        lambda c: c.spike_guard is None or (c.max_change is not None and _is_number(c.spike_guard, math.ulp(0.0))),
        f"None or, with a max_change, {_POSITIVE}",
    ),
    "power": (lambda c: _is_number(c.power, 1, MAX_POWER), f"a number in 1..{MAX_POWER:g}"),
    "first_interval": (
        lambda c: (
            c.first_interval is None
            or (c.power == 1 and type(c.first_interval) is int and 1 <= c.first_interval <= 100)
        ),
        "None or, with power 1, an integer in 1..100",
    ),
    "anchor": (lambda c: c.anchor in get_args(Anchor), f"one of {', '.join(get_args(Anchor))}"),
}
