"""The standing of a table whose effects are known."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lrpilot.experiments.league.document import Cell, League
from lrpilot.experiments.league.leaderboard import Row, by_task, champion, leaderboard, scores, uses_to_break_even
from lrpilot.experiments.league.statistics import holm, sign_flip_p
from tests.experiments.league.leagues import EFFECTS, make_league, synthetic_league


@pytest.fixture(scope="module")
def league() -> League:
    return synthetic_league()


@pytest.fixture(scope="module")
def rows(league: League) -> dict[str, Row]:
    return {row.name: row for row in leaderboard(league)}


def change(league: League, rival: str, **fields: object) -> League:
    """The same table with other fields in all cells of a rival."""

    def changed(cell: Cell) -> Cell:
        return replace(cell, **fields) if cell.rival == rival else cell  # type: ignore[arg-type]

    return replace(league, cells=tuple(changed(cell) for cell in league.cells))


def test_rows_come_in_the_order_of_the_effects(rows: dict[str, Row]) -> None:
    assert list(rows) == sorted(EFFECTS, key=EFFECTS.__getitem__)
    for name, row in rows.items():
        assert row.gain.value == pytest.approx(-EFFECTS[name], abs=0.02)
        assert row.gain.low <= row.gain.value <= row.gain.high
        assert row.score.low <= row.score.value <= row.score.high


def test_the_champion_is_the_best_tuned_schedule(league: League, rows: dict[str, Row]) -> None:
    assert champion(league) == "cosine"
    row = rows["cosine"]
    assert row.gain == (0.0, 0.0, 0.0)
    assert (row.win, row.tie, row.loss) == (0.0, 1.0, 0.0)
    assert math.isnan(row.p)
    untuned = tuple(replace(rival, tuned=rival.name != "cosine") for rival in league.rivals)
    assert champion(replace(league, rivals=untuned)) == "constant"
    with pytest.raises(ValueError, match="no tuned schedule"):
        champion(replace(league, rivals=tuple(replace(rival, tuned=False) for rival in league.rivals)))


def test_p_is_corrected_over_all_rivals_but_the_champion(league: League, rows: dict[str, Row]) -> None:
    others = [name for name in rows if name != "cosine"]
    raw = np.array([sign_flip_p(league.finals("cosine") - league.finals(name)) for name in others])
    np.testing.assert_allclose([rows[name].p for name in others], holm(raw))
    assert max(rows[name].p for name in others) < 0.01


def test_equal_rivals_are_not_told_apart() -> None:
    rng = np.random.default_rng(1)
    finals = {name: rng.normal(-2, 0.3, (3, 8)) for name in ("cosine", "constant", "policy", "plateau")}
    assert min(row.p for row in leaderboard(make_league(finals)) if not math.isnan(row.p)) > 0.05


def test_tasks_count_alike_in_scores() -> None:
    cosine = np.array([[-1.0, -3.0], [-0.1, -0.3], [-8.0, -8.0]])
    league = make_league({"cosine": cosine, "policy": 1.5 * cosine, "constant": 0 * cosine})
    np.testing.assert_allclose(scores(league, "cosine").mean(1), 1.0)
    np.testing.assert_allclose(scores(league, "policy").mean(1), 1.5)
    np.testing.assert_allclose(scores(league, "constant"), 0.0)
    np.testing.assert_allclose(scores(league, "cosine", reference="policy").mean(1), 2 / 3)


def test_scores_stay_finite_where_the_reference_learns_nothing() -> None:
    league = make_league({"cosine": [[0.0, 0.0], [2.3, 2.3]], "policy": [[-0.1, 0.1], [-0.05, 0.0]]})
    np.testing.assert_allclose(scores(league, "policy"), [[2.0, -2.0], [1.0, 0.0]])


def test_failures_times_and_costs_of_a_row() -> None:
    league = make_league({"cosine": [[-2.0, -2.0]] * 2, "policy": [[-4.0, -4.0]] * 2})
    diverged = np.array([True, False])
    league = change(league, "policy", diverged=diverged, tuning_passes=1e3, tuning_seconds=5.0, seconds=0.25)
    policy, cosine = leaderboard(league)
    assert (policy.name, policy.failures, cosine.failures) == ("policy", 0.5, 0.0)
    assert (policy.time, cosine.time) == (pytest.approx(0.5), pytest.approx(1.0))
    assert (policy.passes, policy.seconds) == (2 * 1_240.0, 2 * 5.25)
    assert (policy.win, policy.tie, policy.loss) == (1.0, 0.0, 0.0)
    assert policy.octaves == 0.0


def test_rivals_without_a_base_lr_have_no_width() -> None:
    league = change(make_league({"cosine": [[-2.0, -2.0]] * 2}), "cosine", multiples=np.zeros(0))
    assert math.isnan(leaderboard(league)[0].octaves)


def test_each_task_has_its_own_comparison(league: League) -> None:
    found = by_task(league, "policy", "cosine")
    assert list(found) == [task.name for task in league.tasks]
    for index, comparison in enumerate(found.values()):
        difference = league.finals("cosine")[index] - league.finals("policy")[index]
        assert comparison.mean == pytest.approx(difference.mean())
        assert comparison.low < comparison.mean < comparison.high


@pytest.mark.parametrize(("training", "uses"), [(0.0, 1), (4_799.0, 2), (4_800.0, 3), (4_801.0, 3)])
def test_uses_until_meta_training_pays(training: float, uses: int) -> None:
    league = make_league({"cosine": [[-2.0] * 4] * 2, "constant": [[-1.0] * 4] * 2, "policy": [[-2.0] * 4] * 2})
    # Ten runs on each of four problems; one run costs 240.
    league = change(change(league, "cosine", tuning_passes=4 * 2_400.0), "constant", tuning_passes=1e9)
    rivals = tuple(replace(rival, training_passes=training) for rival in league.rivals)
    league = replace(league, rivals=rivals)
    assert uses_to_break_even(league) == {"policy": uses}
    total = [training + n * 240 < n * (2_400 + 240) for n in range(1, 5)]
    assert total.index(True) + 1 == uses
    dear = change(league, "policy", tuning_passes=4 * 2_400.0)
    assert uses_to_break_even(dear) == {"policy": math.inf}


def test_a_saved_table_has_the_same_standing(league: League, rows: dict[str, Row], tmp_path: Path) -> None:
    league.save(tmp_path / "league.json")
    for row in leaderboard(League.load(tmp_path / "league.json")):
        assert row.score == pytest.approx(rows[row.name].score, abs=1e-4)
        assert row.p == pytest.approx(rows[row.name].p, abs=1e-3, nan_ok=True)
