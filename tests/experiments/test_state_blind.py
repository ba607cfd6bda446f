"""The state-blind control: it sees nothing, is trained like the policy that sees, and stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from lrpilot.card import control_entries
from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.experiments import state_blind
from lrpilot.experiments.networks import ERRORS, SCORED
from lrpilot.experiments.state_blind import BLIND, TIMED, Sight, blindfolded, sight, train_blind
from lrpilot.policy import SchedulePolicy, load_policy

SMALL = ["ppo.iterations=1", "ppo.parallel=16", "ppo.replicas=4", "comparison.test_problems=8", "validation.problems=4"]
SMALL += ["decisions.decisions=10", "decisions.steps=[2]", "horizon=20"]
NETWORKS = ["problems.architectures=[mlp]", "unseen=[]", "data.test=[iris]", "horizon=60", "comparison.base_lrs=2"]
NETWORKS += ["comparison.test_problems=4", "comparison.tuning_problems=4", "comparison.processes=1"]
MICRO = ["ppo.iterations=1", "ppo.parallel=16", "ppo.replicas=4", "ppo.batches=2", "ppo.processes=1"]
MICRO += ["decisions.horizons=[60, 80]", "validation.problems=4", "validation.horizons=[60]"]


@pytest.fixture(scope="module")
def quiet() -> Console:
    return Console(quiet=True)


def two(recipe: Recipe, policy_maker: Callable[..., SchedulePolicy]) -> tuple[SchedulePolicy, SchedulePolicy]:
    card = control_entries(recipe.decisions)
    return policy_maker(0, **card), policy_maker(1, signals=list(BLIND), **card)


@pytest.mark.parametrize(("name", "seen"), [("universal", TIMED), ("cnn", BLIND), ("nmf", BLIND)])
def test_blindfolded_recipes_differ_in_what_is_seen_alone(name: str, seen: tuple[str, ...]) -> None:
    recipe = load_recipe(name)
    blind = blindfolded(recipe)
    assert blind.signals == seen
    assert blind.model_copy(update={"signals": recipe.signals}) == recipe


def test_blind_agents_begin_as_blind_agents() -> None:
    recipe = load_recipe("cnn", ["ppo.begin_as=universal"])
    ppo = blindfolded(recipe).ppo
    assert ppo.begin_as == str(state_blind.kept("universal"))
    assert ppo.model_copy(update={"begin_as": "universal"}) == recipe.ppo


@pytest.mark.parametrize(("name", "overrides", "seen"), [("nmf", SMALL, BLIND), ("universal", MICRO, TIMED)])
def test_a_blind_agent_is_trained_once_and_sees_no_loss(
    name: str, overrides: list[str], seen: tuple[str, ...], tmp_path: Path, quiet: Console
) -> None:
    recipe = load_recipe(name, overrides)
    policy = train_blind(recipe, tmp_path, quiet)
    assert policy.card["signals"] == list(seen)
    assert policy.layers[0][0].shape[1] == len(seen)
    assert train_blind(recipe, tmp_path, quiet).fingerprint == policy.fingerprint
    with pytest.raises(ConfigError, match="begun with another recipe"):
        train_blind(load_recipe(name, [*overrides, "seed=1"]), tmp_path, quiet)


def test_what_sight_is_worth_to_universal_is_shown_by_another_command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    policy_maker: Callable[..., SchedulePolicy],
) -> None:
    blind = policy_maker(1, signals=list(TIMED), **control_entries(load_recipe("universal").decisions))
    monkeypatch.setattr(state_blind, "CONTROLS", tmp_path / "controls")
    monkeypatch.setattr(state_blind, "train_blind", lambda *_: blind)
    monkeypatch.setattr(state_blind, "sight", None)
    state_blind.main("universal")
    assert "plain_torch controls universal" in " ".join(capsys.readouterr().out.split())
    assert load_policy(state_blind.kept("universal")).fingerprint == blind.fingerprint


@pytest.mark.parametrize(("name", "overrides"), [("nmf", SMALL), ("cnn", NETWORKS)])
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
