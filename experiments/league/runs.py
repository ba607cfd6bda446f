"""Whole runs of several settings of one rival on the problems of one workload."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lrpilot.agents.evaluate import DIVERGED_SCORE
from lrpilot.arrays import Floats
from lrpilot.envs.process import Process
from lrpilot.experiments.tuning import by_setting, log_losses

SOLVED = 1e-6  # of the first loss; losses below it count as this
MARKS = 12  # evenly spaced moments at which runs are measured

Step = Callable[[int], Floats]  # makes a step; its number -> LRs in the workload's unit, shape (B,); NaN: there is none
Showing = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True)
class Runs:
    """C settings on P problems, measured at M moments and the start.

    Attributes:
        final: log of the loss at the end over that at the start, shape (C, P): on test samples where the task has
            them, else the full loss; between log SOLVED and log 10.
        failed: Which runs ended tenfold worse than they began, or nowhere, shape (C, P).
        curve: log of the loss on held-out samples over that at the start, shape (C, M + 1, P); what settings are
            chosen by.
        lr: LR in the workload's unit (the bound, or the LR that seems right), shape (C, M, P).
        shares: Moments as shares of the horizon, shape (M + 1,).
        passes: Gradient evaluations of one run.
        seconds: CPU time of one run, s.
        wall_seconds: Wall-clock time of one run, s.
    """

    final: Floats
    diverged: NDArray[np.bool_]
    curve: Floats
    lr: Floats
    shares: Floats
    passes: float
    seconds: float
    wall_seconds: float


def marks(horizon: int) -> NDArray[np.int64]:
    """Return after how many steps runs are measured, the start apart, shape (M,)."""
    return np.unique(np.linspace(0, horizon, min(MARKS, horizon) + 1)[1:].round().astype(np.int64))


def record(step: Step, process: Process, count: int, showing: Showing = nullcontext) -> tuple[Floats, Floats]:
    """Run a process that was just reset, and measure it.

    Args:
        step: Makes one step of all runs; see `Step`.
        process: Its runs, `count` successive ones for each problem.
        count: C.
        showing: Makes the context in which runs are measured: where a method hands out other parameters than it trains.

    Returns:
        `Runs.curve` and `Runs.lr`.
    """
    horizon = int(process.times[-1])
    measured = set(marks(horizon).tolist())
    curve, lrs = [process.task.objective().copy()], []
    with np.errstate(over="ignore", invalid="ignore"):
        for index in range(horizon):
            lr = step(index)
            if index + 1 in measured:
                with showing():
                    curve.append(process.task.objective().copy())
                lrs.append(lr)
    return by_setting(log_losses(curve, SOLVED), count), by_setting(np.array(lrs), count)


def final(process: Process, start: Floats, count: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Return `Runs.final` and `Runs.failed` of a process at its end.

    Args:
        process: At its end.
        start: What `AbstractTask.test_loss` returned at the start, shape (B,).
        count: C.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        ratio = np.log(np.maximum(process.task.test_loss() / start, SOLVED)).reshape(-1, count).T
    diverged = ~(ratio < DIVERGED_SCORE)
    return np.where(diverged, DIVERGED_SCORE, ratio), diverged
