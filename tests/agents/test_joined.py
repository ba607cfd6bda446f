"""Policies in one network: on each kind of runs exactly the one that is meant."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from lrpilot import load_policy
from lrpilot.agents.joined import FIRST, Kind, Part, join, together, train_all
from lrpilot.agents.run import Run
from lrpilot.configs import ConfigError, load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.policy import PolicyError, SchedulePolicy
from lrpilot.signals import SIGNAL_NAMES, Signals

DECISIONS, INF = 60, math.inf
HORIZONS = [1, 30, 60, 61, 100, 150, 179, 180, 181, 240, 539, 540, 541, 719, 720, 100_000]
SMALL = ["problems.architectures=[mlp]", "data.train=[wine]", "data.validation=[iris]", "data.test=[diabetes]"]
SMALL += ["ppo.iterations=1", "ppo.parallel=12", "ppo.replicas=3", "ppo.processes=1", "validation.problems=8"]
SMALL += ["validation.horizons=[]", "horizon=30", "decisions.decisions=10", "decisions.steps=[3]"]
SHORTER = "shorter: {below: 3, but: {horizon: 10, decisions: {steps: [1, 2]}, signals: [progress, level, pace]}}"
SIGHTED = "sighted: {least: 3, below: 5, but: {decisions: {loss_only: 0}, signals: [progress, gradient, has_gradient]}}"
FURTHER = f"further={{{SHORTER}, {SIGHTED}}}"


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


def observations(horizon: int, sighted: bool = False, count: int = 500) -> Any:
    """What runs of a length may look like, shape (S, B)."""
    rng = np.random.default_rng(horizon)
    seen = rng.uniform(-4, 4, (len(SIGNAL_NAMES), count))
    seen[SIGNAL_NAMES.index("has_gradient")] = float(sighted)
    pace = Signals().vector(0.0, horizon / DECISIONS)[SIGNAL_NAMES.index("pace")]
    seen[SIGNAL_NAMES.index("pace")] = pace
    return seen


@pytest.fixture(scope="module")
def joined(short: SchedulePolicy, long: SchedulePolicy, sighted: SchedulePolicy) -> SchedulePolicy:
    parts = [Part((short,), Kind(0, 3, False)), Part((long,), Kind(3, INF, False)), Part((short,), Kind(0, 3, True))]
    parts += [Part((long, sighted), Kind(3, 9, True)), Part((sighted,), Kind(9, INF, True))]
    return join(parts, DECISIONS)


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("shown", [False, True])
def test_each_acts_on_its_own_kind_of_runs(
    short: SchedulePolicy,
    long: SchedulePolicy,
    sighted: SchedulePolicy,
    joined: SchedulePolicy,
    horizon: int,
    shown: bool,
) -> None:
    seen = observations(horizon, shown)
    chosen: tuple[SchedulePolicy, ...] = (long,)
    if horizon < 3 * DECISIONS:
        chosen = (short,)
    elif shown:
        chosen = (long, sighted) if horizon < 9 * DECISIONS else (sighted,)
    for policies in ((short,), (long,), (long, sighted), (sighted,)):
        apart = np.abs(joined.action(seen) - meant(seen, *policies))
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
    joined = join([Part((one, other), Kind(0, INF, False))], DECISIONS)
    np.testing.assert_allclose(joined.action(seen), min(expected, 1.0), rtol=1e-5)
    assert expected < 1


def test_a_run_changes_hands_when_gradients_appear(joined: SchedulePolicy, long: SchedulePolicy) -> None:
    schedule, alone = (policy.schedule(base_lr=0.1, horizon=300) for policy in (joined, long))
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, 300))).tolist()
    pairs = [(schedule(loss, 4.0 if step >= 100 else np.nan), alone(loss)) for step, loss in enumerate(losses)]
    ratios = np.log([one / two for one, two in pairs])
    np.testing.assert_allclose(ratios[:100], 0.0, atol=1e-3)
    assert np.abs(ratios[110:290]).max() > 0.1


def test_is_a_policy_file_like_any_other(joined: SchedulePolicy, long: SchedulePolicy, tmp_path: Path) -> None:
    joined.save(tmp_path / "joined.safetensors")
    assert load_policy(tmp_path / "joined.safetensors").fingerprint == joined.fingerprint
    assert joined.fingerprint != long.fingerprint


@pytest.mark.parametrize(("horizon", "which"), [(100, 0), (300, 1)])
def test_whole_runs_are_those_of_the_one_that_is_meant(
    short: SchedulePolicy, long: SchedulePolicy, joined: SchedulePolicy, horizon: int, which: int
) -> None:
    losses = np.exp(np.cumsum(np.random.default_rng(1).normal(-0.02, 0.1, horizon)))
    one, two = (policy.schedule(base_lr=0.1, horizon=horizon) for policy in (joined, (short, long)[which]))
    lrs = np.array([[one(loss), two(loss)] for loss in losses.tolist()])
    np.testing.assert_allclose(lrs[:, 0], lrs[:, 1], rtol=1e-3)


def test_those_that_act_differently_are_refused(short: SchedulePolicy, long: SchedulePolicy) -> None:
    short_runs, longer_ones = Kind(0, 3, False), Kind(3, INF, False)
    other = SchedulePolicy({**short.card, "max_change": 1.0, "log_start": -1.0}, short.layers)
    with pytest.raises(PolicyError, match="max_change, log_start"):
        join([Part((other,), short_runs), Part((long,), longer_ones)], DECISIONS)
    weight, bias = short.layers[1]
    huge = SchedulePolicy(short.card, (short.layers[0], (200 * weight, bias), short.layers[2]))
    with pytest.raises(PolicyError, match="add up to more than 180"):
        join([Part((huge,), short_runs), Part((long,), longer_ones)], DECISIONS)
    deeper = SchedulePolicy(short.card, (*short.layers[:2], short.layers[1], short.layers[2]))
    with pytest.raises(PolicyError, match="two hidden layers"):
        join([Part((deeper,), short_runs), Part((long,), longer_ones)], DECISIONS)


def universal(*overrides: str) -> NetRecipe:
    recipe = load_recipe("universal", [*SMALL, *overrides])
    assert isinstance(recipe, NetRecipe)
    return recipe


def test_the_recipe_of_a_further_agent_differs_in_what_it_names() -> None:
    recipe = universal(FURTHER)
    short = recipe.further_recipes["shorter"]
    assert (short.horizon, short.decisions.steps, short.further) == (10, (1, 2), {})
    named = {"horizon": 30, "decisions": recipe.decisions, "signals": recipe.signals, "further": recipe.further}
    assert short.model_copy(update=named) == recipe


def test_a_policy_is_scored_with_gradients_if_one_of_its_agents_sees_them() -> None:
    recipe = universal(FURTHER)
    assert (recipe.sees("shorter"), recipe.sees("sighted")) == (False, True)
    assert (recipe.decisions.loss_only, recipe.in_use.decisions.loss_only) == (1.0, 0.0)
    assert recipe.in_use.model_copy(update={"decisions": recipe.decisions}) == recipe
    blind = universal(f"further={{{SHORTER}}}")
    assert blind.in_use == blind


@pytest.mark.parametrize(
    ("further", "message"),
    [
        ("a: {below: 3, but: {decision: {steps: [1]}}}", r"further\.a\.but: unknown key 'decision'; did you mean"),
        (
            "a: {below: 3, but: {decisions: {steps: [4]}}}",
            r"further\.a\.but\.decisions\.steps .* from 0 to below 3.* not \[4\]",
        ),
        ("a: {below: 0.5, but: {}}", r"further\.a\.below is 0\.5"),
        ("a: {below: 12, but: {}}", r"further\.a\.below is 12"),
        ("a: {below: 4, but: {}}, b: {least: 3, but: {}}", r"yaml: further\.a and further\.b are for the same runs"),
    ],
)
def test_wrong_further_agents_are_told(further: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        universal(f"further={{{further}}}")


def test_all_agents_are_trained_joined_and_not_trained_again(tmp_path: Path) -> None:
    quiet = Console(quiet=True)
    run = Run.start(universal(FURTHER), tmp_path)
    joined = train_all(run, quiet)
    assert load_policy(run.policy).fingerprint == joined.fingerprint
    agents = {FIRST: load_policy(run.best)}
    agents |= {name: load_policy(Run.reopen(run.folder / name).best) for name in ("shorter", "sighted")}
    assert joined.fingerprint == together(run.recipe, agents).fingerprint
    for name in ("shorter", "sighted"):
        assert joined.card["trained"][name]["iterations"] == agents[name].card["trained"]["iterations"]
    assert train_all(Run.reopen(run.folder), quiet).fingerprint == joined.fingerprint


@pytest.mark.parametrize("horizon", HORIZONS)
@pytest.mark.parametrize("shown", [False, True])
def test_which_agent_of_a_recipe_acts_when(
    short: SchedulePolicy, long: SchedulePolicy, sighted: SchedulePolicy, horizon: int, shown: bool
) -> None:
    recipe = universal(FURTHER, "decisions.decisions=60", "horizon=180", "further.shorter.but.horizon=60")
    agents = {FIRST: long, "shorter": short, "sighted": sighted}
    trained = {"iterations": 1, "decisions": 2, "commit": "none"}
    agents = {name: SchedulePolicy({**agent.card, "trained": trained}, agent.layers) for name, agent in agents.items()}
    elsewhere = {**sighted.card, "trained": trained, "log_start": -4.0, "log_high": 7.0}
    agents["sighted"] = SchedulePolicy(elsewhere, sighted.layers)
    chosen = ["shorter" if horizon < 3 * 60 else FIRST]
    if shown and 3 * 60 <= horizon < 5 * 60:
        chosen.append("sighted")
    seen = observations(horizon, shown)
    wanted = meant(seen, *(agents[name] for name in chosen))
    policy = together(recipe, agents)
    np.testing.assert_allclose(policy.action(seen), wanted, atol=2e-5)
    assert [policy.card[key] for key in ("log_start", "log_high")] == [
        long.card[key] for key in ("log_start", "log_high")
    ]
