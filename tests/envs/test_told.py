"""Held-out losses in the decision process: told as often as the recipe says, and to nobody else."""

from __future__ import annotations

import numpy as np
import pytest

from lrpilot.envs.process import Decisions, Process
from lrpilot.envs.tasks.net import NetTask
from lrpilot.envs.tasks.net_problems import NetProblems
from lrpilot.signals import HELD_OUT_SIGNALS, SIGNAL_NAMES

PROBLEMS = NetProblems(alike=2, data=("iris",), architectures=("mlp",), lr_error=(1.0, 1.0))


def process(held_out: tuple[int, ...]) -> Process:
    made = Process(NetTask(PROBLEMS, 4), Decisions(decisions=6, steps=(2,), guard="off", held_out=held_out))
    made.seed(1)
    made.reset()
    return made


def test_told_before_every_second_decision() -> None:
    runs, seen, objective = process((2,)), [], []
    for _ in range(6):
        seen.append(runs.step(np.full(4, 0.5)).observation)
        objective.append(np.log(runs.task.objective()))
    flag, level, age = (SIGNAL_NAMES.index(name) for name in ("has_held_out", "held_out", "held_out_age"))
    assert [entry[0, flag] for entry in seen] == [0, 1, 1, 1, 1, 1]
    assert [entry[0, age] > 0 for entry in seen] == [False, False, True, False, True, False]
    np.testing.assert_allclose(seen[3][:, level], (objective[3] - objective[1]) / 5, atol=1e-6)
    np.testing.assert_array_equal(seen[4][:, level], seen[3][:, level])


def test_each_run_has_its_own_interval_and_the_problems_stay() -> None:
    runs, silent = process((1, 3)), process(())
    np.testing.assert_array_equal(runs.task.objective(), silent.task.objective())
    flag = SIGNAL_NAMES.index("has_held_out")
    first = runs.step(np.zeros(4)).observation[:, flag]
    assert {*first.tolist()} == {0.0, 1.0}


def test_nobody_is_told_by_default() -> None:
    runs = process(())
    seen = np.stack([runs.step(np.zeros(4)).observation for _ in range(6)])
    assert not seen[..., [SIGNAL_NAMES.index(name) for name in HELD_OUT_SIGNALS]].any()


def test_intervals_are_positive() -> None:
    with pytest.raises(ValueError, match="held_out must be positive numbers of decisions"):
        Decisions(held_out=(0,))
