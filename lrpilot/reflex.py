"""The reflex between two decisions: a loss far above all before lowers the LR at once.

A run that blows up does so within a few steps, and an LR that is lowered at the next decision comes too late. Between
decisions nothing else depends on the losses. Used by the training environment and by the run-time alike.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from lrpilot.signals import Floats, Numbers

RISE = 1.5  # a loss above so many times the highest before is an alarm


def alarm(loss: Numbers, highest: Numbers) -> Any:
    """Whether a loss says that the run is about to blow up.

    Args:
        loss: Newest mini-batch loss, a float or shape (B,); one that is not finite always says so.
        highest: Highest finite loss before it, same shape; 0 if there was none.

    Returns:
        A bool, or shape (B,).

    Example:
        >>> alarm(2.9, 2.0), alarm(3.1, 2.0), alarm(3.1, 0.0), alarm(math.nan, 2.0)
        (False, True, False, True)
    """
    if isinstance(loss, np.ndarray):
        return ~np.isfinite(loss) | ((highest > 0) & (loss > RISE * highest))
    return not math.isfinite(loss) or 0 < RISE * highest < loss


def higher(loss: Floats, highest: Floats) -> Floats:
    """Return the highest finite loss with a new one, shape (B,)."""
    return np.where(np.isfinite(loss), np.fmax(loss, highest), highest)
