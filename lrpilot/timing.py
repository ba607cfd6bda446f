"""When decisions are made: evenly over the run, or many early, where the LR has to be found, and few later."""

from __future__ import annotations


def decision_times(horizon: int, decisions: int, power: float = 1.0) -> list[int]:
    """Return after which steps of a run decisions are made.

    Args:
        horizon: Steps of the run, at least 1.
        decisions: K. With fewer steps there is a decision at each.
        power: 1: every `horizon // decisions` steps, so a few more than K if that leaves a remainder. Above 1:
            decision k = 0, …, K − 1 is made at the share (k / K)^power of the horizon, at least a step after the last.

    Returns:
        Increasing numbers of steps below the horizon; the first is 0.

    Example:
        >>> decision_times(20, 5), decision_times(20, 5, power=2.0)
        ([0, 4, 8, 12, 16], [0, 1, 3, 7, 12])
    """
    if power == 1.0:
        return list(range(0, horizon, max(1, horizon // decisions)))
    times = (max(k, int(horizon * (k / decisions) ** power)) for k in range(decisions))
    return [time for time in times if time < horizon]
