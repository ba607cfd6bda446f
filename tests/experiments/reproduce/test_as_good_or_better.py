"""Shares of comparisons in which a challenger is as good or better."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrpilot.experiments.league.document import Cell
from lrpilot.experiments.league.schedules import FixedSchedule
from lrpilot.experiments.league.tune_and_score import Budget
from lrpilot.experiments.league.workload import load_suite
from lrpilot.experiments.reproduce.as_good_or_better import (
    BASELINES,
    GREEDY,
    TUNED,
    UNTUNED,
    Setting,
    as_data,
    at_the_right_lr,
    at_wrong_lrs,
    cells_for,
    compute,
    first_of_families,
    picture,
    tuned,
    untuned,
)
from lrpilot.experiments.reproduce.common import Options
from tests.experiments.league.leagues import make_cell, synthetic_league
from tests.experiments.reproduce.small import small_nmf

NAMES = (*BASELINES, GREEDY, UNTUNED, TUNED)


def test_shares_of_known_differences() -> None:
    setting = Setting(
        [np.array([-1.0, -1.0]), np.array([-1.0, -1.0])],
        {"a": [np.array([-0.5, -1.005]), np.array([-2.0, -2.0])], "b": [np.array([0.0, 0.0]), np.array([0.0, 0.0])]},
    )
    assert setting.against("a") == (0.25, 0.25, 0.5)  # 0.005 nats worse is as good
    assert setting.against("b") == (1.0, 0.0, 0.0)
    assert setting.overall() == (0.625, 0.125, 0.25)
    assert as_data(setting)["overall"] == {"better": 0.625, "as_good": 0.125, "worse": 0.25}


def test_schedule_is_as_good_as_itself_and_worse_than_one_nat_less() -> None:
    nmf = small_nmf()
    cosine = [at_wrong_lrs(FixedSchedule("cosine"), nmf)]
    settings = untuned([nmf], FixedSchedule("cosine"), {"same": cosine, "better": [final - 1 for final in cosine]})
    assert len(settings) == 3
    for index, setting in enumerate(settings):
        assert setting.against("same") == (0.0, 1.0, 0.0)
        assert setting.against("better") == (0.0, 0.0, 1.0)
        np.testing.assert_array_equal(setting.challenger[0], cosine[0][index])


def cells() -> list[Cell]:
    """Two tasks; GreedyLR is best from a quarter of the LR that seems right, to which it was tuned."""
    finals = dict.fromkeys(NAMES, -1.0) | {GREEDY: -2.0, UNTUNED: -0.5, TUNED: -3.0}
    multiples, sensitivity = np.array([0.25, 1.0, 4.0]), np.array([[-2.0, -2.0], [-0.9, -1.5], [0.0, 0.0]])
    made = [make_cell([final, final], task=task, rival=name) for task in ("x", "y") for name, final in finals.items()]
    return [replace(cell, multiples=multiples, sensitivity=sensitivity) for cell in made]


def test_tuned_baselines_with_a_challenger_tuned_and_not() -> None:
    assert tuned(cells(), GREEDY).overall() == (1.0, 0.0, 0.0)
    assert tuned(cells(), UNTUNED).overall() == (0.0, 0.0, 1.0)
    right = at_the_right_lr(cells(), GREEDY)
    np.testing.assert_array_equal(np.array(right.challenger), [[-0.9, -1.5], [-0.9, -1.5]])
    assert right.overall() == (0.5, 0.0, 0.5)


def test_picture_shows_the_overall_shares() -> None:
    figure = picture({
        GREEDY: {"all tuned": tuned(cells(), GREEDY)},
        "universal": {"all tuned": tuned(cells(), UNTUNED)},
    })
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert texts == ["87 %", "100 %", "0 %"]  # published, GreedyLR, universal


def test_league_is_taken_where_it_is_named(tmp_path: Path) -> None:
    league = synthetic_league()
    league.save(tmp_path / "league.json")
    found = cells_for(Options(league=tmp_path / "league.json"))
    assert [(cell.task, cell.rival) for cell in found] == [(cell.task, cell.rival) for cell in league.cells]


def test_computes_the_cells_that_it_needs() -> None:
    found = compute([small_nmf()], Budget(2, 3, 1))
    assert [cell.rival for cell in found] == list(NAMES)
    assert {cell.rival: cell.tried for cell in found}[UNTUNED] == 1
    constant = tuned(found, "constant")
    assert constant.against("constant") == (0.0, 1.0, 0.0)
    assert constant.against("linear-to-zero").worse > 0 or constant.against("linear-to-zero").better > 0


def test_first_tasks_of_families() -> None:
    suite = load_suite(1, 0)
    firsts = first_of_families(suite)
    assert [load.family for load in firsts] == list(dict.fromkeys(load.family for load in suite))
    assert firsts[0] is suite[0]
    with pytest.raises(StopIteration):
        next(load for load in firsts if load.name == "nmf-real")
