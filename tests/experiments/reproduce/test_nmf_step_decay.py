"""Learned schedules against step decay on NMF: constant LRs beyond the bound, and what is reported of duels."""

from dataclasses import replace

import numpy as np
import pytest

from lrpilot.experiments.league.runs import Runs
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import Workload
from lrpilot.experiments.reproduce.nmf_step_decay import (
    CLIPPED,
    CURRENT,
    INITIAL,
    SWEEP,
    Duel,
    Sweep,
    constant_lrs,
    duel,
    duel_numbers,
    picture,
    sweep_numbers,
)
from tests.experiments.league.leagues import make_cell
from tests.experiments.reproduce.small import small_nmf


@pytest.fixture(scope="module")
def nmf() -> Workload:
    return small_nmf(2)


@pytest.fixture(scope="module")
def sweeps(nmf: Workload) -> dict[str, Runs]:
    return {kind: constant_lrs(nmf, np.array([0.25, 1.0, 64.0]), kind) for kind in (INITIAL, CURRENT, CLIPPED)}


def test_multiples_of_the_current_bound_up_to_1_are_the_guarded_constant(
    nmf: Workload, sweeps: dict[str, Runs]
) -> None:
    guarded = FixedSchedule("constant").run("1", np.array([0.25, 1.0, 64.0]), nmf)
    np.testing.assert_array_equal(sweeps[CURRENT].final[:2], guarded.final[:2])
    assert np.all(sweeps[CURRENT].final[2] > guarded.final[2])  # without the guard, 64 times the bound is no bound


def test_lrs_are_what_they_are_called(sweeps: dict[str, Runs]) -> None:
    np.testing.assert_allclose(sweeps[CURRENT].lr[1], 1.0)
    assert sweeps[CLIPPED].lr.max() == 1.0
    assert np.nanmax(sweeps[INITIAL].lr[2]) > 1.0


def test_only_unclipped_runs_diverge(sweeps: dict[str, Runs]) -> None:
    assert sweeps[INITIAL].diverged[2].mean() > 0.5
    assert not sweeps[CLIPPED].diverged.any()
    assert not sweeps[INITIAL].diverged[0].any()


def test_sweep_joins_tasks_and_finds_the_lowest_diverging_lr() -> None:
    count, final = len(SWEEP), np.linspace(-1, 1, len(SWEEP))[:, None] ** 2 * np.ones(2) - 3
    curve = np.linspace(0, 1, 13)[:, None] * np.ones((count, 1, 2))
    diverged = np.zeros((count, 2), dtype=bool)
    diverged[14:, 0] = True
    runs = Runs(final, diverged, curve, curve[:, 1:], np.linspace(0, 1, 13), 240.0, 0.1, 0.2)
    calm = replace(runs, diverged=np.zeros_like(diverged))
    sweep = Sweep.of([runs, calm])
    assert sweep.final.shape == (count, 4)
    np.testing.assert_allclose(sweep.early, 0.25)  # a quarter of the run
    safe = Sweep.of([calm, calm])
    numbers = {number.name: number.measured for number in sweep_numbers({INITIAL: sweep, CURRENT: safe, CLIPPED: safe})}
    assert numbers["lowest diverging LR over the first bound"] == SWEEP[14] == 8.0
    assert numbers["lowest diverging LR over the current bound"] == np.inf
    assert numbers["diverged at 64 × the first bound, share"] == 0.25
    assert numbers["the same, clipped"] == 0.0
    assert numbers[f"best final loss at a {INITIAL}: LR over it"] == SWEEP[10] == 2.0


def test_numbers_of_a_duel() -> None:
    step = make_cell([-1.0, -1.0, -1.0])
    pair = Duel(make_cell([-2.0, -2.0, -0.5]), step)
    numbers = {number.name: number for number in duel_numbers({"task": pair})}
    gain = numbers["task: gain over tuned step decay, nats"]
    assert gain.measured == pytest.approx(0.5)
    assert gain.low is not None and gain.high is not None and gain.low <= 0.5 <= gain.high  # noqa: PT018
    assert numbers["task: problems won, share"].measured == pytest.approx(2 / 3)
    assert numbers["task: problems lost, share"].measured == pytest.approx(1 / 3)
    assert pair.share_to_reach == pytest.approx(0.5)  # its median curve falls to −2 in a straight line
    assert Duel(step, pair.learned).share_to_reach == np.inf  # and the other way round it is never reached


def test_duel_and_picture_on_a_small_task(nmf: Workload, sweeps: dict[str, Runs]) -> None:
    pair = duel(nmf, Budget(problems=2, base_lrs=3, shapes=2))
    assert (pair.learned.tried, pair.step.tried) == (1, 6)
    assert pair.learned.lr.max() <= 1.0
    assert pair.learned.final.mean() < -1
    wide = {kind: Sweep.of([constant_lrs(nmf, SWEEP, kind)]) for kind in (INITIAL, CURRENT, CLIPPED)}
    figure = picture({"nmf": pair}, wide)
    learned = next(line for line in figure.axes[0].lines if line.get_label() == "learned, untuned")
    np.testing.assert_allclose(learned.get_ydata(), np.median(pair.learned.curve, 1))
