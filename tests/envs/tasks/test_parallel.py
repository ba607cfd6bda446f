"""Runs on several processes are the runs of their parts."""

from functools import partial

import numpy as np
import pytest

from lrpilot.envs.families import make_process
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.composite import CompositeTask, in_processes
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nets.task import NetTask

PROBLEMS = NetProblems(alike=2, data=("iris", "wine"), architectures=("mlp",), samples=(32, 90), held_out=32)
METHODS = ("reference", "objective", "gradient_sq", "hidden")


@pytest.fixture(scope="module")
def parallel() -> CompositeTask:
    task = in_processes(partial(NetTask, PROBLEMS, replicas=2), 16, 2)
    assert isinstance(task, CompositeTask)
    return task


def test_each_part_is_a_task_with_a_stream_of_its_own(parallel: CompositeTask) -> None:
    parallel.reset(np.random.default_rng(5))
    parts = [NetTask(PROBLEMS, 8, replicas=2) for _ in range(2)]
    for part, rng in zip(parts, np.random.default_rng(5).spawn(2), strict=True):
        part.reset(rng)
    for _ in range(3):
        losses = parallel.sgd_step(0.1 * parallel.reference())
        np.testing.assert_array_equal(losses, np.concatenate([part.sgd_step(0.1 * part.reference()) for part in parts]))
    for method in METHODS:
        whole = np.concatenate([getattr(part, method)() for part in parts])
        np.testing.assert_array_equal(getattr(parallel, method)(), whole)
    for method in ("weights", "gradients"):
        for mine, part in zip(np.split(getattr(parallel, method)(), 2), parts, strict=True):
            own = getattr(part, method)()
            np.testing.assert_array_equal(mine, np.pad(own, [(0, 0), (0, mine.shape[1] - own.shape[1])]))
            assert own.any()


def test_a_part_may_begin_anew_while_the_other_goes_on(parallel: CompositeTask) -> None:
    parallel.reset(np.random.default_rng(6))
    start = parallel.objective()
    for _ in range(3):
        parallel.sgd_step(0.1 * parallel.reference())
    moved = parallel.objective()
    slots = np.arange(16) < 2
    parallel.reset(np.random.default_rng(7), slots)
    np.testing.assert_array_equal(parallel.objective()[slots], start[slots])  # replicas begin the same problem anew
    np.testing.assert_array_equal(parallel.objective()[~slots], moved[~slots])


def test_errors_in_another_process_are_raised_here(parallel: CompositeTask) -> None:
    parallel.reset(np.random.default_rng(8))
    parallel.workers[0].send("no_such_method", ())
    with pytest.raises(AttributeError, match="no_such_method"):
        parallel.workers[0].receive()
    with pytest.raises(ValueError, match="must divide the 5 runs"):
        in_processes(partial(NetTask, PROBLEMS), 5, 2)


def test_the_process_runs_on_two() -> None:
    process = make_process("universal", 8, PROBLEMS, Decisions(decisions=3, guard="off"), ("iris",), processes=2)
    process.seed(0)
    process.reset()
    for _ in range(3):
        transition = process.step(np.zeros(8))
    assert transition.terminated.all()
    assert np.isfinite(transition.reward).all()
