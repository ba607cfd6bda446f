"""The interface of all rivals: several base LRs of one shape, side by side on the problems of a workload."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace

import numpy as np

from lrpilot.arrays import Floats
from lrpilot.envs.process import Process
from lrpilot.experiments.league.document import Kind, RivalInfo
from lrpilot.experiments.league.runs import Runs, Showing, Step, final, marks, record
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.tuning import Control, advance


class AbstractRival(ABC):
    """One row of the table.

    Args:
        name: Its name.
        kind: What it is.
        source: Where it comes from.
        shapes: Names of the values of its other settings that are tried; the first is the usual one.
        tuned: Whether it is tuned; else it runs once, from the LR that seems right or the bound.
        has_base_lr: Whether the base LR makes a difference.
        training_passes: Gradient evaluations of meta-training.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        source: str,
        shapes: Sequence[str] = ("",),
        tuned: bool = True,
        has_base_lr: bool = True,
        training_passes: float = 0.0,
    ) -> None:
        self.info = RivalInfo(name, kind, source, tuned, training_passes)
        self.shapes = tuple(shapes)
        self.has_base_lr = has_base_lr

    @abstractmethod
    def play(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Run one shape from several base LRs on all problems of a workload.

        Args:
            shape: One of `shapes`.
            multiples: Base LRs in the workload's unit, shape (C,).
            workload: The problems.

        Returns:
            The runs; seconds and passes are those of one.
        """

    def fingerprint(self, workload: Workload) -> str:
        """Return what tells the rival's policy for a workload from any other; nothing if it has none."""
        return ""

    def modules(self) -> tuple[str, ...]:
        """Return the names of the modules that the rival is made of; what they import need not be named."""
        return (type(self).__module__,)

    def run(self, shape: str, multiples: Floats, workload: Workload) -> Runs:
        """Do as `play` says, and take the CPU and wall-clock time of one run."""
        cpu, wall = time.process_time(), time.perf_counter()
        runs = self.play(shape, multiples, workload)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return replace(runs, seconds=cpu / runs.final.size, wall_seconds=wall / runs.final.size)


def play_controlled(control: Control, process: Process, count: int) -> Runs:
    """Run a process whose LRs a control chooses.

    Args:
        control: Returns LRs, shape (B,), from the number of the step and the losses of the one before.
        process: At its start.
        count: C, successive runs of each problem.

    Returns:
        The runs.
    """
    return play_steps(stepper(control, process), process, count)


def stepper(control: Control, process: Process) -> Step:
    """Return what makes the steps of a process whose LRs a control chooses, and returns LRs in the workload's unit."""
    losses: Floats = np.ones(process.task.batch_size)

    def step(index: int) -> Floats:
        nonlocal losses
        reference = process.reference
        losses = advance(process, control(index, losses))
        return process.lr / reference

    return step


def play_steps(step: Step, process: Process, count: int, showing: Showing = nullcontext) -> Runs:
    """Run a process step by step.

    Args:
        step: Makes one step of all runs.
        process: At its start.
        count: C.
        showing: Makes the context in which runs are measured.

    Returns:
        The runs, with one pass a step, without their time.
    """
    horizon = int(process.times[-1])
    start = process.task.test_loss()
    curve, lr = record(step, process, count, showing)
    shares: Floats = np.concatenate([[0.0], marks(horizon) / horizon])
    with showing():
        return Runs(*final(process, start, count), curve, lr, shares, horizon, 0.0, 0.0)
