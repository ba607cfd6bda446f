"""The base schedule that a policy's action is a multiple of."""

from __future__ import annotations

from typing import Literal, get_args

from lrpilot.signals import Numbers

Anchor = Literal["constant", "linear"]
ANCHORS: tuple[Anchor, ...] = get_args(Anchor)


def anchor_multiple(anchor: Anchor, progress: Numbers) -> Numbers:
    """LR over its reference under the bare base schedule.

    Args:
        anchor: "constant": 1 all along; "linear": falls from 1 to 0 over the run.
        progress: Share of the horizon used up before this step, in [0, 1); a float or shape (B,).

    Returns:
        The multiple, positive, same shape.

    Example:
        >>> anchor_multiple("linear", 0.75)
        0.25
    """
    return 1.0 - progress if anchor == "linear" else 1.0 + 0.0 * progress
