"""Policies in one network: on each kind of runs exactly the one that is meant."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lrpilot import load_policy
from lrpilot.agents.joined import (
    SHORTER_PART,
    SIGHTED_PART,
    join,
    long_runs,
    mean,
    sighted_runs,
    together,
    train_all,
)
from lrpilot.agents.run import Run
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.policy import PolicyError, SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES, Signals

BELOW, DECISIONS = 3.0, 60
LONG, SIGHTED = long_runs(BELOW, DECISIONS), sighted_runs(9, DECISIONS)
HORIZONS = [1, 30, 60, 61, 100, 150, 179, 180, 181, 240, 539, 540, 541, 719, 720, 100_000]
SMALL = ["problems.architectures=[mlp]", "data.train=[wine]", "data.validation=[iris]", "data.test=[diabetes]"]
SMALL += ["ppo.iterations=1", "ppo.parallel=12", "ppo.replicas=3", "ppo.processes=1", "validation.problems=8"]
SMALL += ["validation.horizons=[]", "horizon=30", "decisions.decisions=10", "decisions.steps=[3]"]
SHORTER = "shorter={below: 3, but: {horizon: 10, decisions: {steps: [1, 2]}, signals: [progress, level, pace]}}"
SIGHTED_BUT = "sighted={below: 5, but: {decisions: {loss_only: 0.0}, signals: [progress, gradient, has_gradient]}}"


def made(seed: int, signals: list[str], hidden: tuple[int, int]) -> SchedulePolicy:
    """A policy with random weights that acts in the manner of `universal`."""
    rng = np.random.default_rng(seed)
    layers = tuple(
        (rng.normal(0, 2 / n**0.5, (m, n)).astype(np.float32), rng.normal(0, 1, m).astype(np.float32))
        for n, m in pairwise([len(signals), *hidden, 1])
    )
    card = {key: value for key, value in load_policy("universal").card.items() if key != "trained"}
    return SchedulePolicy({**card, "signals": signals}, layers)


@pytest.fixture(scope="module")
def long() -> SchedulePolicy:
    return made(0, ["progress", "log_multiple", "level", "change", "slow"], (64, 64))


@pytest.fixture(scope="module")
def short() -> SchedulePolicy:
    return made(1, ["pace", "slow", "level", "log_multiple", "trend"], (32, 48))


@pytest.fixture(scope="module")
def sighted() -> SchedulePolicy:
    return made(4, ["slow", "gradient", "turn", "has_gradient", "progress"], (64, 64))


def observations(horizon: int, sighted: bool = False, count: int = 500) -> Any:
    """What runs of a length may look like, shape (S, B)."""
    rng = np.random.default_rng(horizon)
    seen = rng.uniform(-4, 4, (len(SIGNAL_NAMES), count))
    seen[SIGNAL_NAMES.index("has_gradient")] = float(sighted)
    pace = Signals().vector(0.0, horizon / DECISIONS)[SIGNAL_NAMES.index("pace")]
    seen[SIGNAL_NAMES.index("pace")] = pace
    return seen


@pytest.mark.parametrize("horizon", HORIZONS)
def test_acts_as_the_one_or_the_other(short: SchedulePolicy, long: SchedulePolicy, horizon: int) -> None:
    seen = observations(horizon)
    meant, other = (short, long) if horizon < BELOW * DECISIONS else (long, short)
    joined = join(short, long, LONG).action(seen)
    np.testing.assert_allclose(joined, meant.action(seen), atol=2e-5)
    assert np.abs(joined - other.action(seen)).mean() > 0.1


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("shown", [False, True])
def test_of_three_each_acts_on_its_own_runs(
    short: SchedulePolicy, long: SchedulePolicy, sighted: SchedulePolicy, horizon: int, shown: bool
) -> None:
    both = mean(long, sighted)
    joined = join(short, join(long, both, SIGHTED), LONG)
    seen = observations(horizon, shown)
    meant = short if horizon < 3 * DECISIONS else both if shown and horizon < 9 * DECISIONS else long
    for policy in (short, long, both):
        apart = np.abs(joined.action(seen) - policy.action(seen))
        assert apart.max() < 1e-4 if policy is meant else apart.mean() > 0.1


def test_the_mean_is_that_of_actions_that_are_not_clipped() -> None:
    weights = (np.ones((1, 1), np.float32), np.zeros(1, np.float32))
    one, other = (
        SchedulePolicy({**made(0, ["level"], (1, 1)).card, "signals": [signal]}, (weights, weights, last))
        for signal, last in (
            ("level", (np.array([[3.0]], np.float32), np.zeros(1, np.float32))),
            ("slow", (np.array([[-1.0]], np.float32), np.full(1, 0.5, np.float32))),
        )
    )
    seen = np.zeros((len(SIGNAL_NAMES), 1))
    seen[SIGNAL_NAMES.index("level")], seen[SIGNAL_NAMES.index("slow")] = 0.3, -0.2
    expected = (3 * np.tanh(np.tanh(0.3)) + 0.5 - np.tanh(np.tanh(-0.2))) / 2
    np.testing.assert_allclose(mean(one, other).action(seen), min(expected, 1.0), rtol=1e-6)
    assert expected < 1


def test_a_run_changes_hands_when_gradients_appear(long: SchedulePolicy, sighted: SchedulePolicy) -> None:
    both = join(long, sighted, SIGHTED)
    schedule, alone = (policy.schedule(base_lr=0.1, horizon=300) for policy in (both, long))
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, 300))).tolist()
    pairs = [(schedule(loss, 4.0 if step >= 100 else np.nan), alone(loss)) for step, loss in enumerate(losses)]
    ratios = np.log([one / two for one, two in pairs])
    np.testing.assert_allclose(ratios[:100], 0.0, atol=1e-3)
    assert np.abs(ratios[110:290]).max() > 0.1


def test_is_a_policy_file_like_any_other(short: SchedulePolicy, long: SchedulePolicy, tmp_path: Path) -> None:
    joined = join(short, long, LONG)
    joined.save(tmp_path / "joined.safetensors")
    assert load_policy(tmp_path / "joined.safetensors").fingerprint == joined.fingerprint
    assert joined.fingerprint not in {short.fingerprint, long.fingerprint}


@pytest.mark.parametrize(("horizon", "which"), [(100, 0), (300, 1)])
def test_whole_runs_are_those_of_the_one_that_is_meant(
    short: SchedulePolicy, long: SchedulePolicy, horizon: int, which: int
) -> None:
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, horizon)))
    one, two = (
        policy.schedule(base_lr=0.1, horizon=horizon) for policy in (join(short, long, LONG), (short, long)[which])
    )
    lrs = np.array([[one(loss), two(loss)] for loss in losses.tolist()])
    np.testing.assert_allclose(lrs[:, 0], lrs[:, 1], rtol=1e-3)


def test_those_that_act_differently_are_refused(
    short: SchedulePolicy, long: SchedulePolicy, policy_maker: Callable[..., SchedulePolicy]
) -> None:
    with pytest.raises(PolicyError, match="max_change, log_start"):
        join(SchedulePolicy({**short.card, "max_change": 1.0, "log_start": -1.0}, short.layers), long, LONG)
    weight, bias = short.layers[1]
    huge = SchedulePolicy(short.card, (short.layers[0], (200 * weight, bias), short.layers[2]))
    with pytest.raises(PolicyError, match="add up to more than 182"):
        join(huge, long, LONG)
    deeper = SchedulePolicy(short.card, (*short.layers[:2], short.layers[1], short.layers[2]))
    with pytest.raises(PolicyError, match="two hidden layers"):
        join(deeper, long, LONG)


def test_a_recipe_for_short_runs_differs_in_what_it_names() -> None:
    recipe = load_recipe("universal", [*SMALL, SHORTER])
    assert isinstance(recipe, NetRecipe)
    short = recipe.for_short_runs
    assert short is not None
    assert (short.horizon, short.decisions.steps, short.shorter) == (10, (1, 2), None)
    named = {"horizon": 30, "decisions": recipe.decisions, "signals": recipe.signals, "shorter": recipe.shorter}
    assert short.model_copy(update=named | {"sighted": recipe.sighted}) == recipe


def test_a_policy_is_scored_with_gradients_if_one_of_its_agents_reads_them() -> None:
    recipe = load_recipe("universal", [*SMALL, SIGHTED_BUT])
    assert isinstance(recipe, NetRecipe)
    sighted = recipe.for_sighted_runs
    assert sighted is not None
    assert (sighted.shorter, sighted.sighted, sighted.signals[-1]) == (None, None, "has_gradient")
    assert (recipe.decisions.loss_only, recipe.in_use.decisions.loss_only) == (1.0, 0.0)
    assert recipe.in_use.model_copy(update={"decisions": recipe.decisions}) == recipe
    assert sighted.in_use == sighted


@pytest.mark.parametrize(
    ("shorter", "message"),
    [
        ("{below: 3, but: {decision: {steps: [1]}}}", "shorter.but: unknown key 'decision'; did you mean"),
        ("{below: 3, but: {decisions: {steps: [1, 3]}}}", "must be below shorter.below, 3.0, not 3"),
        ("{below: 0.5, but: {}}", "shorter.below is 0.5"),
    ],
)
def test_a_wrong_recipe_for_short_runs_is_told(shorter: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("universal", [*SMALL, f"shorter={shorter}"])


def test_a_wrong_recipe_for_sighted_runs_is_told() -> None:
    with pytest.raises(ConfigError, match=r"sighted\.below is 12"):
        load_recipe("universal", [*SMALL, "sighted={below: 12, but: {}}"])
    with pytest.raises(ConfigError, match=r"sighted\.but: unknown key 'signal'"):
        load_recipe("universal", [*SMALL, "sighted={below: 5, but: {signal: [level]}}"])


def test_all_agents_are_trained_joined_and_not_trained_again(tmp_path: Path) -> None:
    quiet = Console(quiet=True)
    run = Run.start(load_recipe("universal", [*SMALL, SHORTER, SIGHTED_BUT]), tmp_path)
    joined = train_all(run, quiet)
    assert load_policy(run.policy).fingerprint == joined.fingerprint
    parts = (run.folder / SHORTER_PART, run.folder / SIGHTED_PART)
    short, sighted = (load_policy(Run.reopen(part).best) for part in parts)
    parts = {"": load_policy(run.best), SHORTER_PART: short, SIGHTED_PART: sighted}
    assert joined.fingerprint == together(run.recipe, parts).fingerprint
    trained = joined.card["trained"]
    assert trained["shorter"]["iterations"] == short.card["trained"]["iterations"]
    assert trained["sighted"]["iterations"] == sighted.card["trained"]["iterations"]
    assert train_all(Run.reopen(run.folder), quiet).fingerprint == joined.fingerprint
