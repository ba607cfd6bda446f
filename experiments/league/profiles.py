"""How soon rivals reach a target loss: time to target, and performance profiles over tasks.

After AlgoPerf, Dahl et al. 2023, arXiv 2306.07179, whose times are in seconds on given hardware; here they are counted
in steps, or in gradient evaluations where rivals are compared.
"""

from collections.abc import Sequence

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.experiments.league.document import Cell, League

REFERENCE = "cosine"  # the rival that sets targets and the unit of scores
TAU_MAX = 4.0  # AlgoPerf's: who takes longer than four times the best has not solved the task


def target(league: League, task: str, reference: str = REFERENCE) -> float:
    """Return the loss to reach on a task: the held-out loss at the end of the reference's tuned run.

    Args:
        league: The table.
        task: Name of the task.
        reference: A rival.

    Returns:
        Median over problems, nats.
    """
    return float(np.median(league.cell(task, reference).curve[-1]))


def time_to_target(cell: Cell, goal: float) -> float:
    """Return when the median held-out loss of a cell first is at a goal, between moments on a straight line.

    Args:
        cell: A rival on a task.
        goal: Loss, nats.

    Returns:
        Share of the steps of the horizon, in [0, 1]; infinite if it is never reached.
    """
    curve = np.median(cell.curve, axis=1)
    if curve.min() > goal:
        return float(np.inf)
    first = int(np.argmax(curve <= goal))
    if first == 0:
        return 0.0
    between = (curve[first - 1] - goal) / (curve[first - 1] - curve[first])
    return float(cell.shares[first - 1] + between * (cell.shares[first] - cell.shares[first - 1]))


def times_to_target(league: League, rivals: Sequence[str], reference: str = REFERENCE) -> Floats:
    """Return the cost of reaching the target of each task, fit for comparing rivals.

    Args:
        league: The table.
        rivals: Names of R rivals.
        reference: The rival that sets the targets.

    Returns:
        Gradient evaluations over the steps of the horizon, shape (T, R): the share of the horizon, times the
        evaluations that the rival makes for each step. Infinite where the target is never reached.
    """
    return np.array([
        [
            time_to_target(cell, target(league, task.name, reference)) * cell.passes / task.horizon
            for cell in (league.cell(task.name, rival) for rival in rivals)
        ]
        for task in league.tasks
    ])


def ratios(times: Floats) -> Floats:
    """Return times over the best of the rivals that are compared, task by task.

    Args:
        times: Shape (T, R), ≥ 0, infinite where the target is never reached.

    Returns:
        r ≥ 1, shape (T, R); infinite where the time is.

    Example:
        >>> ratios(np.array([[0.5, 1.0], [np.inf, 1.0]])).tolist()
        [[1.0, 2.0], [inf, 1.0]]
    """
    best = times.min(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = times / best
    return np.where(np.isinf(times), np.inf, np.where(times == best, 1.0, ratio))


def profiles(ratio: Floats, tau: Floats) -> Floats:
    """Return ρ(τ), the share of tasks on which a rival takes at most τ times as long as the best.

    Args:
        ratio: r from `ratios`, shape (T, R).
        tau: τ ≥ 1, shape (K,).

    Returns:
        Shape (R, K), not falling along τ.

    Example:
        >>> profiles(np.array([[1.0, 2.0], [np.inf, 1.0]]), np.array([1.0, 2.0])).tolist()
        [[0.5, 0.5], [0.5, 1.0]]
    """
    return np.asarray((ratio[:, :, None] <= tau).mean(0))


def integrated(ratio: Floats, tau_max: float = TAU_MAX) -> Floats:
    """Return the mean of ρ over τ in [1, tau_max], AlgoPerf's benchmark score.

    ρ is a step function, so its integral is exact: ∫ρ dτ is the mean over tasks of max(tau_max − r, 0).

    Args:
        ratio: r from `ratios`, shape (T, R).
        tau_max: Upper end, > 1.

    Returns:
        Shape (R,), from 0 to 1; 1 is the best on every task.

    Example:
        >>> integrated(np.array([[1.0, 2.5], [np.inf, 1.0]])).tolist()
        [0.5, 0.75]
    """
    return np.asarray(np.maximum(tau_max - ratio, 0.0).mean(0) / (tau_max - 1))
