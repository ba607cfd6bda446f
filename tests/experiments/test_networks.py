"""The comparison on networks: what is tuned is not scored, and every schedule meets the same problems."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lrpilot.agents.evaluate import Act
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments.network_report import HIDDEN, compare_on_networks, for_card, headline
from lrpilot.experiments.networks import (
    ERRORS,
    SCORED,
    base_lrs,
    compare_networks,
    run_family,
    run_from_wrong,
    run_policy,
    set_lr_error,
    unseen_networks,
)
from lrpilot.policy import SchedulePolicy, load_policy
from lrpilot.signals import SIGNAL_NAMES

LEVELS = [
    "decisions.max_change=null",
    "decisions.reflex=null",
    "decisions.log_low=-1",
    "decisions.log_high=1",
    "decisions.log_start=0",
]
SMALL = [
    "problems.architectures=[mlp]",
    "unseen=[]",
    "data.test=[iris]",
    "data.train=[wine]",
    "comparison.test_problems=8",
]


@pytest.fixture(scope="module")
def recipe() -> NetRecipe:
    loaded = load_recipe("cnn", [*LEVELS, *SMALL], smoke=True)
    assert isinstance(loaded, NetRecipe)
    return loaded


def steady(observation: np.ndarray, _: int) -> np.ndarray:
    return np.zeros(observation.shape[1])


def test_a_policy_that_follows_the_anchor_is_linear_to_zero(recipe: NetRecipe) -> None:
    errors = np.tile([0.5, 2.0], 2 * 2 * SCORED)
    fixed = run_family("linear-to-zero", np.ones(2), set_lr_error(unseen_networks(recipe, 2, 2, "test"), errors))
    learned = run_policy(steady, set_lr_error(unseen_networks(recipe, 2, 2, "test"), errors), 2)
    np.testing.assert_allclose(learned.final, fixed.final, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(learned.curve, fixed.curve, rtol=1e-5, atol=1e-6)
    assert (fixed.final[0] != fixed.final[1]).any()
    assert learned.log_multiple.shape == (2, recipe.decisions.decisions, 2 * 2 * SCORED)


def test_base_lrs_are_tuned_on_one_half_and_scored_on_the_other(recipe: NetRecipe) -> None:
    acts: dict[str, Act] = {"steady": steady}
    results = compare_networks(recipe, acts, 2, families=["cosine", "linear-to-zero"])
    grid = base_lrs(recipe)
    runs = run_family("cosine", grid, unseen_networks(recipe, 2, len(grid), "test"))
    for network in range(2):
        first = 2 * SCORED * network
        tuning, scored = slice(first, first + SCORED), slice(first + SCORED, first + 2 * SCORED)
        best = runs.curve[:, -1, tuning].mean(1).argmin()
        assert results.setting["cosine"][network] == best
        mine = slice(SCORED * network, SCORED * (network + 1))
        np.testing.assert_array_equal(results.tuned["cosine"].final[0, mine], runs.final[best, scored])
    losses = runs.curve[:, -1].reshape(len(grid), 2, 2, SCORED)[:, :, 0].mean((1, 2))
    once = results.setting_once["cosine"]
    assert once == losses.argmin()
    scored_runs = runs.final.reshape(len(grid), 2, 2, SCORED)[once, :, 1].ravel()
    np.testing.assert_array_equal(results.tuned_once["cosine"].final[0], scored_runs)
    assert (results.hindsight <= results.tuned["cosine"].final[0]).all()
    at_right = results.from_wrong_lrs["linear-to-zero"].final[ERRORS.index(1.0)]
    np.testing.assert_allclose(at_right, results.tuned["linear-to-zero"].final[0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        results.learned["steady"].final, results.from_wrong_lrs["linear-to-zero"].final, atol=1e-4
    )


@pytest.mark.parametrize(("share_hidden", "hide"), [(0.0, False), (0.3, False), (1.0, False), (0.0, True)])
def test_policies_see_the_gradients_that_they_were_trained_with(
    recipe: NetRecipe, share_hidden: float, hide: bool
) -> None:
    seen: list[np.ndarray] = []

    def watching(observation: np.ndarray, _: int) -> np.ndarray:
        seen.append(observation[SIGNAL_NAMES.index("has_gradient")])
        return np.zeros(observation.shape[1])

    decisions = replace(recipe.decisions, loss_only=share_hidden)
    trained = recipe.model_copy(update={"decisions": decisions})
    run_from_wrong(watching, trained, np.ones(1), loss_only=hide)
    assert (np.array(seen[1:]) == (share_hidden < 1 and not hide)).all()
    assert len(seen) == recipe.decisions.decisions


def test_runs_that_blow_up_count_as_tenfold_worse(recipe: NetRecipe) -> None:
    runs = run_family("constant", np.array([1e6]), unseen_networks(recipe, 2, 1, "test"))
    assert runs.diverged.any()
    np.testing.assert_array_equal(runs.final[runs.diverged], np.log(10.0))


def test_the_report_writes_every_number_and_both_figures(
    recipe: NetRecipe, tmp_path: Path, policy_maker: Callable[..., SchedulePolicy]
) -> None:
    path = tmp_path / "policy.safetensors"
    policy_maker(action="multiple_of_base", decisions=recipe.decisions.decisions).save(path)
    console = Console(width=160, record=True)
    some = recipe.comparison.model_copy(update={"baselines": ("cosine", "constant", "linear-to-zero")})
    shown = {"decisions": replace(recipe.decisions, loss_only=0.3), "comparison": some}
    recipe = recipe.model_copy(update=shown)
    compare_on_networks(recipe, [load_policy(path)], tmp_path, console)
    written = json.loads((tmp_path / "compare.json").read_text())
    scores = headline(written)
    assert set(written["tuned"]) == set(written["tuned_once"]) == set(some.baselines)
    assert np.shape(written["from_wrong_base_lrs"]["learned 0"]["final"]) == (len(ERRORS), 2 * SCORED)
    assert scores["log_loss"] == pytest.approx(np.mean(written["from_wrong_base_lrs"]["learned 0"]["final"]), abs=1e-4)
    card = for_card(written)
    against = card["gain_over_tuned"]["linear-to-zero"]["mean"]
    assert against == pytest.approx(scores["gain_over_tuned_linear"], abs=1e-4)
    assert against == pytest.approx(-np.mean([*card["excess_over_tuned_linear-to-zero"].values()]), abs=1e-3)
    assert card["failed"][1] == len(ERRORS) * 2 * SCORED
    json.dumps(card, allow_nan=False)
    for figure in ("lr_error", "schedules"):
        assert (tmp_path / "figures" / f"{figure}.png").stat().st_size > 10_000
    text = console.export_text()
    assert "control: replay of the mean schedule" in text
    assert "≤ 1 % worse" in text
    assert "cosine, tuned once for all" in text
    hidden = written["from_wrong_base_lrs"][HIDDEN]
    assert hidden["final"] != written["from_wrong_base_lrs"]["learned 0"]["final"]
    excess = np.array(hidden["final"]) - np.array(written["tuned"]["linear-to-zero"]["final"])
    assert card["gradients_hidden"]["failed"] == np.sum(hidden["failed"])
    assert card["gradients_hidden"]["excess_over_tuned_linear-to-zero"] == pytest.approx(excess.mean(), abs=1e-4)
    assert HIDDEN in text


@pytest.mark.parametrize("baselines", [("cosine",), ("linear-to-zero", "cosine", "cosinus")])
def test_baselines_that_make_no_report_are_refused(
    recipe: NetRecipe, tmp_path: Path, baselines: tuple[str, ...]
) -> None:
    some = recipe.comparison.model_copy(update={"baselines": baselines})
    with pytest.raises(ConfigError, match=r"comparison\.baselines must be names of linear-to-zero, .*, not .*cos"):
        compare_on_networks(recipe.model_copy(update={"comparison": some}), [], tmp_path, Console(quiet=True))
