"""The fixed schedules that learned ones are compared with: multipliers of the base LR, in closed form."""

import math
from collections.abc import Callable

DECAY_SHARE = 0.2  # of the steps, in which WSD decays
WARM_UP_SHARE = 0.05  # of the steps
Shape = Callable[[float], float]  # share of the steps that are done, in [0, 1) -> LR over base LR

SHAPES: dict[str, Shape] = {
    "linear": lambda done: 1.0 - done,
    "cosine": lambda done: (1.0 + math.cos(math.pi * done)) / 2,
    "WSD": lambda done: min(1.0, (1.0 - done) / DECAY_SHARE),
}
WARM_UP = "warm-up, "  # before the name of a shape
TUNED = tuple(before + shape for before in ("", WARM_UP) for shape in SHAPES)
SCHEDULE_FREE, PRODIGY = "Schedule-Free", "Prodigy"
PACKAGES = (SCHEDULE_FREE, PRODIGY)  # optimizers that bring their schedule along, and are not tuned


def multiplier(schedule: str, step: int, horizon: int) -> float:
    """Return LR over base LR.

    Args:
        schedule: One of `TUNED` or `PACKAGES`.
        step: Steps done, from 0 to `horizon`.
        horizon: Steps of the run. Warm-up rises linearly over the first 5 % of them; the shape spans the rest.

    Returns:
        From 0 to 1. Schedule-Free stays at 1; Prodigy follows a cosine, as its authors advise.

    Example:
        >>> multiplier("linear", 25, 100), multiplier("WSD", 79, 100), multiplier("warm-up, linear", 4, 100)
        (0.75, 1.0, 0.8333333333333334)
    """
    if schedule == SCHEDULE_FREE:
        return 1.0
    shape = SHAPES["cosine" if schedule == PRODIGY else schedule.removeprefix(WARM_UP)]
    warm_up = max(1, round(WARM_UP_SHARE * horizon)) if schedule.startswith(WARM_UP) else 0
    if step < warm_up:
        return (step + 1) / (warm_up + 1)
    return max(0.0, shape((step - warm_up) / (horizon - warm_up)))


def is_learned(schedule: str) -> bool:
    """Whether a schedule is neither fixed nor a package's: a policy's fingerprint."""
    return schedule not in TUNED and schedule not in PACKAGES
