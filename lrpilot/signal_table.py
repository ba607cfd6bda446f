"""What a schedule may observe: the names, meanings, units and ranges of all signals, in the order of the vector."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Numbers = float | Floats  # one run, or B runs side by side

RANGE = 4.0  # observations are clipped to [-4, 4]


@dataclass(frozen=True)
class Signal:
    """One entry of the observation vector; all are dimensionless."""

    name: str
    meaning: str
    unit: str
    low: float = -RANGE
    high: float = RANGE


SIGNALS = (
    Signal("progress", "share of the horizon used up", "share", 0.0, 1.0),
    Signal("log_multiple", "log of LR over reference (bound or base LR) in the last interval, / 3", "nats / 3"),
    Signal("level", "mean log loss of the last interval, minus the log of the first loss, / 5", "nats / 5"),
    Signal("change", "level minus the level one interval earlier, squashed", "squashed nats"),
    Signal("fast", "level minus its fast average, squashed", "squashed nats"),
    Signal("slow", "level minus its slow average, squashed", "squashed nats"),
    Signal("slowest", "level minus its slowest average, squashed", "squashed nats"),
    Signal("best", "level minus the best level so far, squashed", "squashed nats", 0.0),
    Signal("trend", "fitted change of the log loss across the last interval, squashed", "squashed nats"),
    Signal("spread", "scatter of the log loss around that fit (standard deviation), squashed", "squashed nats", 0.0),
    Signal("change_score", "change over its standard error (from the spread), asinh", "asinh of ratio"),
    Signal("slow_score", "level minus its slow average over its standard error, asinh", "asinh of ratio"),
    Signal("since_best", "asinh of the intervals since the best level, / 1.5", "asinh of intervals", 0.0),
    Signal("best_multiple", "log_multiple minus its value at the best level, / 3", "nats / 3"),
    Signal("steepest", "largest fall of the fast average in one interval so far, squashed", "squashed nats", 0.0),
    Signal("steepest_multiple", "log_multiple minus its value at that fall, / 3", "nats / 3"),
    Signal("peak", "highest log_multiple so far minus log_multiple, / 3", "nats / 3", 0.0),
    Signal("log_multiple_change", "log_multiple minus its value one interval earlier", "nats"),
    Signal("interval", "log of the steps in the last interval, / 3; more than 12 count as 12", "nats / 3", 0.0),
    Signal("pace", "log of the steps between two decisions of this run on average, / 3, likewise", "nats / 3", 0.0),
    Signal("swing", "average size of change, squashed", "squashed nats", 0.0),
    Signal("drift", "fast average minus the slowest one, over that size, asinh", "asinh of ratio"),
    Signal("reference_change", "log of the reference LR over its first value, / 3", "nats / 3"),
    Signal("held_out", "log of the newest held-out loss that was told over the first one, / 5", "nats / 5"),
    Signal("held_out_change", "log of the newest over the one before, squashed", "squashed nats"),
    Signal("held_out_slow", "log of the newest minus a slow average of the logs, squashed", "squashed nats"),
    Signal("held_out_best", "log of the newest over the lowest so far, squashed", "squashed nats", 0.0),
    Signal("held_out_since", "asinh of the intervals since the lowest was told, / 1.5", "asinh of intervals", 0.0),
    Signal("held_out_multiple", "log_multiple minus its value when the lowest was told, / 3", "nats / 3"),
    Signal("held_out_gap", "log of the newest over the training loss when it was told, squashed", "squashed nats"),
    Signal("held_out_age", "asinh of the intervals since the newest was told, / 1.5", "asinh of intervals", 0.0),
    Signal("has_held_out", "1 once a held-out loss was told; else it and the eight above are 0", "flag", 0.0, 1.0),
    Signal("gradient", "log of reference LR · ‖gradient‖² / loss, what a step promises, / 3", "nats / 3"),
    Signal("gradient_change", "log of ‖gradient‖ over its first value, / 3", "nats / 3"),
    Signal("efficiency", "log loss really lost in the last interval over what was promised", "ratio"),
    Signal("mean_efficiency", "slow average of efficiency", "ratio"),
    Signal("turn", "2 × cosine between the weights' last two displacements, from decision to decision", "2 × cosine"),
    Signal("persistence", "2 × cosine between the last displacement and the sum of recent ones", "2 × cosine"),
    Signal("long_persistence", "the same with a longer memory", "2 × cosine"),
    Signal("mean_persistence", "average of long_persistence, doubled", "4 × cosine"),
    Signal("descent", "2 × cosine between the last displacement and minus the newest gradient", "2 × cosine"),
    Signal("mean_descent", "average of descent, doubled", "4 × cosine"),
    Signal("stride", "log of ‖gradient‖ · ‖displacement in a step‖ / loss, what it might change, / 3", "nats / 3"),
    Signal("has_gradient", "1 where gradients can be read; else it and the eleven above are 0", "flag", 0.0, 1.0),
)
SIGNAL_NAMES = tuple(signal.name for signal in SIGNALS)
HELD_OUT_SIGNALS = frozenset(name for name in SIGNAL_NAMES if "held_out" in name)
GRADIENT_SIGNALS = frozenset(SIGNAL_NAMES[SIGNAL_NAMES.index("gradient") :])  # they come last
