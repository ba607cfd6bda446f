"""Baselines, tuning, statistics and the comparison, each against something known."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from lrpilot import list_policies, load_policy
from lrpilot.agents.evaluate import DIVERGED_SCORE, act_by, evaluate
from lrpilot.agents.problem_sets import problem_set
from lrpilot.configs import Recipe, load_recipe
from lrpilot.experiments import real
from lrpilot.experiments.baselines import BASELINES, UNITS, Candidate, grid
from lrpilot.experiments.compare import Comparison, compare, rows, untrained, write
from lrpilot.experiments.figures import draw_all
from lrpilot.experiments.stats import paired
from lrpilot.experiments.table import show
from lrpilot.experiments.tuning import log_losses, run_baselines
from lrpilot.policy import SHIPPED

SMALL = ["comparison.tuning_problems=8", "comparison.test_problems=16", "comparison.base_lrs=2"]
SMALL += ["comparison.processes=2", "horizon=80", "real.steps=10", "real.seeds=2", "data.test=[breast_cancer, pydoc]"]


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("nmf", SMALL)


@pytest.mark.parametrize("family", BASELINES)
def test_shapes_start_at_one_stay_in_0_1_and_never_rise(family: str) -> None:
    progress = np.arange(200) / 200
    for shape in BASELINES[family].shapes.values():
        multiplier = shape(progress)
        assert multiplier[0] == pytest.approx(1)
        assert (multiplier >= 0).all()
        assert (np.diff(multiplier) <= 1e-12).all()


def test_every_family_has_the_same_budget_in_every_unit() -> None:
    assert len({len(grid(family, unit, 9)) for family in BASELINES for unit in UNITS}) == 1
    assert len(grid("constant", "bound", 9)) >= 9


def test_a_constant_baseline_is_the_state_blind_policy_of_the_same_lr(recipe: Recipe) -> None:
    candidate = Candidate("constant", "1", "bound", float(np.exp(-1.5)))
    decisions = recipe.decisions
    action = 2 * (-1.5 - decisions.log_low) / (decisions.log_high - decisions.log_low) - 1
    policy = evaluate(lambda seen, _: np.full(seen.shape[1], action), recipe, "test", 16)
    np.testing.assert_allclose(run_baselines([candidate], recipe, "test", 16)[0][-1], policy.final, rtol=1e-3)


@pytest.mark.parametrize("env", ["nmf", "linear"])
def test_schedules_side_by_side_are_those_that_run_alone(env: str) -> None:
    recipe = load_recipe(env, smoke=True)
    candidates = [Candidate("constant", "1", "bound", 0.5), Candidate("cosine", "to 0", "raw", 0.1)]
    together = run_baselines(candidates, recipe, "test", 16)
    for candidate, curve in zip(candidates, together, strict=True):
        np.testing.assert_allclose(run_baselines([candidate], recipe, "test", 16)[0], curve, atol=1e-3)


def test_raw_lrs_are_clipped_to_the_bound_too(recipe: Recipe) -> None:
    huge = run_baselines([Candidate("constant", "1", "raw", 1e30)], recipe, "test", 16)[0]
    at_bound = run_baselines([Candidate("constant", "1", "bound", 1.0)], recipe, "test", 16)[0]
    np.testing.assert_array_equal(huge, at_bound)


def test_the_curve_ends_at_the_objective_and_uses_every_problem(recipe: Recipe) -> None:
    curve = run_baselines([Candidate("linear-to-zero", "to 0", "bound", 0.5)], recipe, "test", 300)[0]
    assert curve.shape == (41, 300)
    assert (curve[0] == 0).all()
    assert (curve[-1] < 0).mean() > 0.9
    assert sum(process.task.batch_size for process in problem_set(recipe, "test", 300)) == 300


def test_paired_statistics_on_known_numbers() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(size=400)
    gain = rng.normal(0.1, 1.0, 400)
    result = paired(base - gain, base)
    assert result.mean == pytest.approx(gain.mean())
    half = 1.96 * gain.std() / 20
    assert result.low == pytest.approx(gain.mean() - half, abs=0.02)
    assert result.high == pytest.approx(gain.mean() + half, abs=0.02)
    assert result.win == pytest.approx((gain > 1e-4).mean())
    assert result.win + result.tie + result.loss == pytest.approx(1)
    same = paired(base, base)
    assert (same.mean, same.tie) == (0, 1)


def test_the_interval_covers_the_truth_about_19_times_in_20() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        result = paired(np.zeros(60), rng.exponential(1.0, 60))
        covered += result.low <= 1.0 <= result.high
    assert 85 <= covered <= 99


def test_exploded_runs_count_as_tenfold_worse() -> None:
    start = np.array([1.0, 2.0, 4.0])
    curve = [start, start * [0.1, 1e5, np.nan], start * [1e-9, 1.0, 0.5]]
    expected = np.log([[1.0, 1.0, 1.0], [0.1, 10.0, 10.0], [1e-6, 1.0, 0.5]])
    np.testing.assert_allclose(log_losses(curve, floor=1e-6), expected)


def test_the_table_counts_exploded_runs(recipe: Recipe) -> None:
    learned, cosine = np.array([[0.0, -1.0, DIVERGED_SCORE]]), np.array([[DIVERGED_SCORE, 0.0, DIVERGED_SCORE]])
    table = rows(Comparison(recipe, {"learned": learned, "cosine": cosine}))
    assert {row["method"]: row["diverged"] for row in table} == {"learned": 1, "cosine": 2}


def test_comparison_end_to_end(recipe: Recipe, tmp_path: Path) -> None:
    policy = load_policy("nmf")
    result = compare(recipe, [policy, policy], Console(quiet=True))
    assert result.final["learned"].shape == (2, 16)
    assert (result.final["oracle"] <= result.final[result.best] + 5).all()
    table = rows(result)
    assert {row["method"] for row in table} >= {"learned", "oracle", "control: untrained policy", result.best}
    assert [row["mean"] for row in table] == sorted(row["mean"] for row in table)
    write(result, tmp_path)
    draw_all(result, tmp_path)
    show(result, Console(quiet=True))
    data = json.loads((tmp_path / "compare.json").read_text())
    assert {"config", "seed", "commit", "verdict"} <= set(data)
    with (tmp_path / "compare.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(table)
    assert {path.name for path in tmp_path.glob("*.png")} == {"loss_curves.png", "schedules.png", "win_matrix.png"}
    tuned = result.tuned
    assert {candidate.family for candidate, _ in tuned.values()} == set(BASELINES)
    matrices = real.factorise_all(recipe, SHIPPED / "nmf.safetensors", tuned, Console(quiet=True))
    assert set(matrices.learned) == {"breast_cancer", "pydoc"}
    assert all((final < 0).all() for final in matrices.learned.values())
    json.dumps(real.as_json(matrices), allow_nan=False)


def test_the_untrained_control_is_not_the_trained_policy(recipe: Recipe) -> None:
    assert "nmf" in list_policies()
    mean = evaluate(act_by(untrained(recipe)), recipe, "test", 16).final.mean()
    assert np.isfinite(mean)
    assert mean < 0


def test_the_real_loop_is_reproducible_and_the_schedule_matters(recipe: Recipe) -> None:
    X = torch.rand(12, 20, generator=torch.Generator().manual_seed(0))
    low, high = (
        real.BaselineSchedule(Candidate("constant", "1", "bound", base_lr), recipe.real.steps)
        for base_lr in (0.01, 0.5)
    )
    assert real.factorise(X, recipe.real, 0, low) == real.factorise(X, recipe.real, 0, low)
    assert real.factorise(X, recipe.real, 0, low) != real.factorise(X, recipe.real, 0, high)
