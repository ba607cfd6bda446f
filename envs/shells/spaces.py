"""The observation and action spaces that all shells share."""

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces

from lrpilot.signals import SIGNAL_NAMES, SIGNALS
from lrpilot.summary import RANGE


def observation_space(hidden_size: int = 0, signals: Sequence[str] = SIGNAL_NAMES) -> spaces.Box:
    """Return the space of `Signals.vector`, dimensionless.

    Args:
        hidden_size: Further entries, for a critic that sees more than the policy.
        signals: Names of the entries that are observed, S of them; all if not given.

    Returns:
        A box of shape (S + hidden_size,).
    """
    seen = [SIGNALS[SIGNAL_NAMES.index(name)] for name in signals]
    low = np.array([signal.low for signal in seen] + hidden_size * [-RANGE], dtype=np.float32)
    high = np.array([signal.high for signal in seen] + hidden_size * [RANGE], dtype=np.float32)
    return spaces.Box(low, high, dtype=np.float32)


def action_space() -> spaces.Box:
    """Return the space of actions: one number in [-1, 1], on a log scale of the LR."""
    return spaces.Box(-1.0, 1.0, (1,), dtype=np.float32)


def observation_table() -> str:
    """Return the observation vector as the Markdown table of an environment's docstring, indented by four."""
    rows = [
        f"| {i} | {signal.name} | {signal.meaning} | {signal.unit} | {signal.low:g} | {signal.high:g} |"
        for i, signal in enumerate(SIGNALS)
    ]
    header = ["| Index | Signal | Meaning | Unit | Min | Max |", "|-------|--------|---------|------|-----|-----|"]
    return "\n    ".join(header + rows)
