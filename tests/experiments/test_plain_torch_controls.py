"""Controls in plain torch: what each one sees, that they run as the policy does, and what is said of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrpilot.agents.evaluate import act_by, evaluate
from lrpilot.arrays import Floats
from lrpilot.card import PolicyError, control_entries
from lrpilot.configs import Recipe, load_recipe
from lrpilot.configs.load import dump
from lrpilot.experiments.plain_torch import __main__ as command
from lrpilot.experiments.plain_torch import controls, work
from lrpilot.experiments.plain_torch.networks import NETWORKS
from lrpilot.experiments.plain_torch.plan import Results, cell, tuned_octave
from lrpilot.experiments.plain_torch.store import Store
from lrpilot.experiments.state_blind import TIMED, blindfolded
from lrpilot.policy import SchedulePolicy, load_policy
from tests.experiments.in_process import InProcess

SMALL = NETWORKS["shallow MLP"]
HORIZON = 60
OVERRIDES = ["ppo.parallel=16", "ppo.replicas=4", "ppo.batches=2", "ppo.processes=1", "validation.problems=4"]
NAMES = ["policy", "untrained", "state-blind", "mean replay, actions", "mean replay, LRs"]
MakePolicy = Callable[..., SchedulePolicy]


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("universal", OVERRIDES)


def trained_by(recipe: Recipe, make: MakePolicy, seed: int = 0) -> SchedulePolicy:
    """A policy that might have come out of a recipe."""
    card = {"signals": list(recipe.signals), "trained": {"recipe": dump(recipe)}}
    return make(seed, **control_entries(recipe.decisions), **card)


def lrs_of(policy: SchedulePolicy, losses: Iterable[float]) -> Floats:
    schedule = policy.schedule(0.1, HORIZON)
    return np.array([schedule.lr, *(schedule(float(loss)) for loss in losses)])[:HORIZON]


def test_mean_replays_see_no_loss_and_do_what_the_policy_does_on_average(
    recipe: Recipe, policy_maker: MakePolicy
) -> None:
    policy = trained_by(recipe, policy_maker)
    runs = evaluate(act_by(policy), recipe.model_copy(update={"horizon": HORIZON}), "validation", 4)
    assert np.ptp(runs.log_multiple, axis=1).max() > 0.1  # the policy itself reacts
    actions, lrs = controls.mean_replays(policy, recipe, HORIZON).values()
    calm, wild = np.ones(HORIZON), 10.0 ** np.arange(HORIZON)
    np.testing.assert_array_equal(lrs_of(lrs, calm), lrs_of(lrs, wild))
    times = np.rint(runs.shares * HORIZON).astype(int)
    means = [np.log(lrs_of(lrs, calm)[start:end] / 0.1).mean() for start, end in pairwise(times)]
    np.testing.assert_allclose(means, runs.log_multiple.mean(1), atol=1e-5)
    log_multiple, wanted = recipe.decisions.log_start, []
    for action in runs.action.mean(1):
        log_multiple = recipe.decisions.log_multiple(action, log_multiple)
        wanted.append(0.1 * recipe.decisions.multiple(np.exp(log_multiple), len(wanted) / HORIZON))
    np.testing.assert_allclose(lrs_of(actions, calm), wanted, rtol=1e-4)
    assert lrs_of(actions, wild)[-1] < 0.1 * wanted[-1]  # its spike guard is left


@pytest.mark.parametrize("horizon", [60, 3_000, 100_000])
def test_steps_are_exact_at_every_decision(horizon: int) -> None:
    starts = np.array(load_policy("universal").control.times(horizon)) / horizon
    values = np.random.default_rng(0).uniform(-1, 1, len(starts))
    card = {"name": "steps", "signals": ["progress"], **control_entries(load_policy("universal").control)}
    policy = SchedulePolicy(card, controls.steps(starts, values))
    seen = np.broadcast_to(starts, (99, len(starts)))
    np.testing.assert_allclose(policy.action(seen), values, atol=1e-5)


def test_a_recipe_is_read_from_the_card(recipe: Recipe, policy_maker: MakePolicy) -> None:
    policy = trained_by(recipe, policy_maker)
    assert controls.recipe_of(policy) == recipe
    with pytest.raises(PolicyError, match="has no recipe"):
        controls.recipe_of(policy_maker())


def test_it_is_told_how_the_state_blind_agent_was_trained_otherwise(recipe: Recipe, policy_maker: MakePolicy) -> None:
    policy = trained_by(recipe, policy_maker)
    assert controls.differences(policy, trained_by(blindfolded(recipe), policy_maker)) == []
    longer = load_recipe("universal", [*OVERRIDES, "ppo.iterations=99", "seed=5", "comparison.networks=1"])
    assert controls.differences(policy, trained_by(longer, policy_maker)) == ["ppo.iterations", "seed"]


def test_the_command_from_start_to_end(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    recipe: Recipe,
    policy_maker: MakePolicy,
) -> None:
    policy, blind = trained_by(recipe, policy_maker), trained_by(blindfolded(recipe), policy_maker, seed=1)
    assert blind.card["signals"] == list(TIMED)
    files = [tmp_path / f"{name}.safetensors" for name in ("policy", "blind")]
    for path, one in zip(files, (policy, blind), strict=True):
        one.save(path)
    monkeypatch.setattr(work, "ProcessPoolExecutor", InProcess)
    monkeypatch.setattr(controls, "kept", lambda _: files[1])
    monkeypatch.setattr(controls, "networks_of", lambda _: [SMALL])
    output = tmp_path / "controls.json"
    arguments = ["controls", str(files[0]), "--horizon", str(HORIZON), "--seeds", "2", "--folder", str(tmp_path)]
    command.main([*arguments, "--output", str(output)])
    printed = capsys.readouterr().out
    assert all(name in printed for name in NAMES)
    assert "another one" not in printed
    data = json.loads(output.read_text())
    rows = data["horizons"][str(HORIZON)]["rows"]
    assert [row["name"] for row in rows] == NAMES
    assert len({row["fingerprint"] for row in rows}) == len(NAMES)
    check_rows(rows, Store(tmp_path, None).results)
    monkeypatch.setattr(work, "ProcessPoolExecutor", None)  # nothing may be run again
    monkeypatch.setattr(controls, "evaluate", None)
    monkeypatch.setattr(controls, "untrained", None)
    command.main([*arguments, "--output", str(output)])
    assert json.loads(output.read_text()) == data


def check_rows(rows: list[dict[str, Any]], results: Results) -> None:
    octave = tuned_octave(SMALL, HORIZON, "linear", results)
    assert octave is not None
    for row in rows:
        found = [
            [results[cell(SMALL, HORIZON, row["fingerprint"], octave + off, seed)] for seed in (0, 1)]
            for off in (-4, 0, 4)
        ]
        assert np.ravel(row["scores"]) == pytest.approx([np.mean([run.last for run in runs]) for runs in found])
        assert row["diverged"] == [sum(run.diverged for run in runs) for runs in found]
        ahead = np.ravel(row["scores"]) - np.ravel(rows[0]["scores"])
        if row["gains"]:
            gains = [gain["mean"] for gain in row["gains"].values()]
            assert gains == pytest.approx([(ahead[0] + ahead[2]) / 2, *ahead], abs=1e-5)
