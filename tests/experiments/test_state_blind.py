"""The state-blind control: it sees nothing, is trained like the policy that sees, and stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lrpilot.card import control_entries
from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.experiments.networks import ERRORS, SCORED
from lrpilot.experiments.state_blind import BLIND, Sight, blindfolded, sight, train_blind
from lrpilot.policy import SchedulePolicy

SMALL = ["ppo.iterations=1", "ppo.parallel=16", "ppo.replicas=4", "comparison.test_problems=8", "validation.problems=4"]
SMALL += ["decisions.decisions=10", "decisions.steps=[2]", "horizon=20"]
NETWORKS = ["problems.architectures=[mlp]", "unseen=[]", "data.test=[iris]", "horizon=60", "comparison.base_lrs=2"]
NETWORKS += ["comparison.test_problems=4", "comparison.tuning_problems=4", "comparison.processes=1"]
MICRO = ["comparison.test_problems=8", "horizon=60"]


@pytest.fixture(scope="module")
def quiet() -> Console:
    return Console(quiet=True)


def two(recipe: Recipe, policy_maker: Callable[..., SchedulePolicy]) -> tuple[SchedulePolicy, SchedulePolicy]:
    card = control_entries(recipe.decisions)
    return policy_maker(0, **card), policy_maker(1, signals=list(BLIND), **card)


def test_blindfolded_recipes_differ_in_what_is_seen_alone() -> None:
    recipe = load_recipe("universal")
    blind = blindfolded(recipe)
    assert blind.signals == BLIND
    assert blind.model_copy(update={"signals": recipe.signals}) == recipe


def test_a_blind_agent_is_trained_once_and_sees_no_loss(tmp_path: Path, quiet: Console) -> None:
    recipe = load_recipe("nmf", SMALL)
    policy = train_blind(recipe, tmp_path, quiet)
    assert policy.card["signals"] == list(BLIND)
    assert policy.layers[0][0].shape[1] == len(BLIND)
    assert train_blind(recipe, tmp_path, quiet).fingerprint == policy.fingerprint
    with pytest.raises(ConfigError, match="begun with another recipe"):
        train_blind(load_recipe("nmf", [*SMALL, "seed=1"]), tmp_path, quiet)


@pytest.mark.parametrize(("name", "overrides"), [("nmf", SMALL), ("universal", MICRO), ("cnn", NETWORKS)])
def test_sight_is_the_gain_over_the_blind_and_turns_with_them(
    name: str, overrides: list[str], policy_maker: Callable[..., SchedulePolicy], quiet: Console
) -> None:
    recipe = load_recipe(name, overrides)
    first, second = two(recipe, policy_maker)
    forth, back = (sight(recipe, *pair, quiet) for pair in ((first, second), (second, first)))
    assert isinstance(forth, Sight)
    assert forth.gain.mean != 0
    assert back.gain.mean == pytest.approx(-forth.gain.mean)
    assert back.diverged == forth.diverged[::-1]
    if name == "cnn":
        assert forth.runs == len(ERRORS) * SCORED
        assert np.mean([gain.mean for gain in forth.by_error.values()]) == pytest.approx(forth.gain.mean)
