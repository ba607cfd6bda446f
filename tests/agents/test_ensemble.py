"""Policies in one network: on each class of runs exactly the one that is meant."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lrpilot import PolicyError, SchedulePolicy, load_policy
from lrpilot.agents.ensemble import FIRST, Member, RunClass, combine, together, train_all
from lrpilot.agents.run import Run
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.signals import SIGNAL_NAMES, Signals

DECISIONS, INF = 60, math.inf
HORIZONS = [1, 30, 60, 61, 100, 150, 179, 180, 181, 240, 539, 540, 541, 719, 720, 100_000]
SMALL = ["problems.architectures=[mlp]", "data.train=[wine]", "data.validation=[iris]", "data.test=[diabetes]"]
SMALL += ["ppo.iterations=1", "ppo.parallel=12", "ppo.replicas=3", "ppo.processes=1", "validation.problems=8"]
SMALL += ["validation.horizons=[]", "horizon=30", "decisions.decisions=10", "decisions.steps=[3]"]
SHORT = "short: {below: 3, overrides: {horizon: 10, decisions: {steps: [1, 2]}, signals: [progress, level, pace]}}"
WITH_GRADIENTS = (
    "with_gradients: {least: 3, below: 5, overrides: "
    "{decisions: {loss_only: 0}, signals: [progress, gradient, has_gradient]}}"
)
EXTRA_AGENTS = f"extra_agents={{{SHORT}, {WITH_GRADIENTS}}}"


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
def with_gradients() -> SchedulePolicy:
    return made(4, ["slow", "gradient", "turn", "has_gradient", "progress"], (64, 64))


def meant(seen: Any, *policies: SchedulePolicy) -> Any:
    """The mean of what policies do before it is clipped, then clipped: shape (B,)."""
    actions = []
    for policy in policies:
        values = seen[[SIGNAL_NAMES.index(name) for name in policy.card["signals"]]]
        for weight, bias in policy.layers[:-1]:
            values = np.tanh(weight.astype(float) @ values + bias[:, None])
        weight, bias = policy.layers[-1]
        actions.append((weight @ values + bias[:, None])[0])
    return np.clip(np.mean(actions, 0), -1.0, 1.0)


def observations(horizon: int, with_gradients: bool = False, count: int = 500) -> Any:
    """What runs of a length may look like, shape (S, B)."""
    rng = np.random.default_rng(horizon)
    seen = rng.uniform(-4, 4, (len(SIGNAL_NAMES), count))
    seen[SIGNAL_NAMES.index("has_gradient")] = float(with_gradients)
    pace = Signals().vector(0.0, horizon / DECISIONS)[SIGNAL_NAMES.index("pace")]
    seen[SIGNAL_NAMES.index("pace")] = pace
    return seen


@pytest.fixture(scope="module")
def ensemble(short: SchedulePolicy, long: SchedulePolicy, with_gradients: SchedulePolicy) -> SchedulePolicy:
    parts = [
        Member((short,), RunClass(0, 3, False)),
        Member((long,), RunClass(3, INF, False)),
        Member((short,), RunClass(0, 3, True)),
    ]
    parts += [Member((long, with_gradients), RunClass(3, 9, True)), Member((with_gradients,), RunClass(9, INF, True))]
    return combine(parts, DECISIONS)


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("shown", [False, True])
def test_each_acts_on_its_own_kind_of_runs(
    short: SchedulePolicy,
    long: SchedulePolicy,
    with_gradients: SchedulePolicy,
    ensemble: SchedulePolicy,
    horizon: int,
    shown: bool,
) -> None:
    seen = observations(horizon, shown)
    chosen: tuple[SchedulePolicy, ...] = (long,)
    if horizon < 3 * DECISIONS:
        chosen = (short,)
    elif shown:
        chosen = (long, with_gradients) if horizon < 9 * DECISIONS else (with_gradients,)
    for policies in ((short,), (long,), (long, with_gradients), (with_gradients,)):
        apart = np.abs(ensemble.action(seen) - meant(seen, *policies))
        assert apart.max() < 2e-5 if policies == chosen else apart.mean() > 0.1


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
    ensemble = combine([Member((one, other), RunClass(0, INF, False))], DECISIONS)
    np.testing.assert_allclose(ensemble.action(seen), min(expected, 1.0), rtol=1e-5)
    assert expected < 1


def test_a_run_changes_hands_when_gradients_appear(ensemble: SchedulePolicy, long: SchedulePolicy) -> None:
    schedule, alone = (policy.schedule(base_lr=0.1, horizon=300) for policy in (ensemble, long))
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, 300))).tolist()
    pairs = [(schedule(loss, 4.0 if step >= 100 else np.nan), alone(loss)) for step, loss in enumerate(losses)]
    ratios = np.log([one / two for one, two in pairs])
    np.testing.assert_allclose(ratios[:100], 0.0, atol=1e-3)
    assert np.abs(ratios[110:290]).max() > 0.1


def test_is_a_policy_file_like_any_other(ensemble: SchedulePolicy, long: SchedulePolicy, tmp_path: Path) -> None:
    ensemble.save(tmp_path / "ensemble.safetensors")
    assert load_policy(tmp_path / "ensemble.safetensors").fingerprint == ensemble.fingerprint
    assert ensemble.fingerprint != long.fingerprint


@pytest.mark.parametrize(("horizon", "which"), [(100, 0), (300, 1)])
def test_whole_runs_are_those_of_the_one_that_is_meant(
    short: SchedulePolicy, long: SchedulePolicy, ensemble: SchedulePolicy, horizon: int, which: int
) -> None:
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, horizon)))
    one, two = (policy.schedule(base_lr=0.1, horizon=horizon) for policy in (ensemble, (short, long)[which]))
    lrs = np.array([[one(loss), two(loss)] for loss in losses.tolist()])
    np.testing.assert_allclose(lrs[:, 0], lrs[:, 1], rtol=1e-3)


def test_those_that_act_differently_are_refused(short: SchedulePolicy, long: SchedulePolicy) -> None:
    short_runs, longer_ones = RunClass(0, 3, False), RunClass(3, INF, False)
    other = SchedulePolicy({**short.card, "max_change": 1.0, "log_start": -1.0}, short.layers)
    with pytest.raises(PolicyError, match="max_change, log_start"):
        combine([Member((other,), short_runs), Member((long,), longer_ones)], DECISIONS)
    weight, bias = short.layers[1]
    huge = SchedulePolicy(short.card, (short.layers[0], (200 * weight, bias), short.layers[2]))
    with pytest.raises(PolicyError, match="add up to more than 180"):
        combine([Member((huge,), short_runs), Member((long,), longer_ones)], DECISIONS)
    deeper = SchedulePolicy(short.card, (*short.layers[:2], short.layers[1], short.layers[2]))
    with pytest.raises(PolicyError, match="two hidden layers"):
        combine([Member((deeper,), short_runs), Member((long,), longer_ones)], DECISIONS)


def universal(*overrides: str) -> NetRecipe:
    recipe = load_recipe("universal", [*SMALL, *overrides])
    assert isinstance(recipe, NetRecipe)
    return recipe


def test_the_recipe_of_an_extra_agent_differs_in_what_it_names() -> None:
    recipe = universal(EXTRA_AGENTS)
    short = recipe.extra_recipes["short"]
    assert (short.horizon, short.decisions.steps, short.extra_agents) == (10, (1, 2), {})
    named = {
        "horizon": 30,
        "decisions": recipe.decisions,
        "signals": recipe.signals,
        "extra_agents": recipe.extra_agents,
    }
    assert short.model_copy(update=named) == recipe


def test_a_policy_is_scored_with_gradients_if_one_of_its_agents_sees_them() -> None:
    recipe = universal(EXTRA_AGENTS)
    assert (recipe.sees("short"), recipe.sees("with_gradients")) == (False, True)
    assert (recipe.decisions.loss_only, recipe.in_use.decisions.loss_only) == (1.0, 0.0)
    assert recipe.in_use.model_copy(update={"decisions": recipe.decisions}) == recipe
    blind = universal(f"extra_agents={{{SHORT}}}")
    assert blind.in_use == blind


@pytest.mark.parametrize(
    ("extra_agents", "message"),
    [
        (
            "a: {below: 3, overrides: {decision: {steps: [1]}}}",
            r"extra_agents\.a\.overrides: unknown key 'decision'; did you mean",
        ),
        (
            "a: {below: 3, overrides: {decisions: {steps: [4]}}}",
            r"extra_agents\.a\.overrides\.decisions\.steps .* from 0 to below 3.* not \[4\]",
        ),
        ("a: {below: 0.5, overrides: {}}", r"extra_agents\.a\.below is 0\.5"),
        ("a: {below: 12, overrides: {}}", r"extra_agents\.a\.below is 12"),
        (
            "a: {below: 4, overrides: {}}, b: {least: 3, overrides: {}}",
            r"yaml: extra_agents\.a and extra_agents\.b are for the same runs",
        ),
    ],
)
def test_wrong_extra_agents_are_named(extra_agents: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        universal(f"extra_agents={{{extra_agents}}}")


def test_all_agents_are_trained_combined_and_not_trained_again(tmp_path: Path) -> None:
    quiet = Console(quiet=True)
    run = Run.start(universal(EXTRA_AGENTS), tmp_path)
    ensemble = train_all(run, quiet)
    assert load_policy(run.policy).fingerprint == ensemble.fingerprint
    agents = {FIRST: load_policy(run.best)}
    agents |= {name: load_policy(Run.reopen(run.folder / name).best) for name in ("short", "with_gradients")}
    assert ensemble.fingerprint == together(run.recipe, agents).fingerprint
    for name in ("short", "with_gradients"):
        assert ensemble.card["trained"][name]["iterations"] == agents[name].card["trained"]["iterations"]
    assert train_all(Run.reopen(run.folder), quiet).fingerprint == ensemble.fingerprint


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("shown", [False, True])
def test_which_agent_of_a_recipe_acts_when(
    short: SchedulePolicy, long: SchedulePolicy, with_gradients: SchedulePolicy, horizon: int, shown: bool
) -> None:
    recipe = universal(EXTRA_AGENTS, "decisions.decisions=60", "horizon=180", "extra_agents.short.overrides.horizon=60")
    agents = {FIRST: long, "short": short, "with_gradients": with_gradients}
    trained = {"iterations": 1, "decisions": 2, "commit": "none"}
    agents = {name: SchedulePolicy({**agent.card, "trained": trained}, agent.layers) for name, agent in agents.items()}
    elsewhere = {**with_gradients.card, "trained": trained, "log_start": -4.0, "log_high": 7.0}
    agents["with_gradients"] = SchedulePolicy(elsewhere, with_gradients.layers)
    chosen = ["short" if horizon < 3 * 60 else FIRST]
    if shown and 3 * 60 <= horizon < 5 * 60:
        chosen.append("with_gradients")
    seen = observations(horizon, shown)
    wanted = meant(seen, *(agents[name] for name in chosen))
    policy = together(recipe, agents)
    np.testing.assert_allclose(policy.action(seen), wanted, atol=2e-5)
    assert [policy.card[key] for key in ("log_start", "log_high")] == [
        long.card[key] for key in ("log_start", "log_high")
    ]
