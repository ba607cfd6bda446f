"""Training in small: learns, exports what SB3 would do, and resumes to the same bits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console
from stable_baselines3 import PPO

from lrpilot import PolicyError, load_policy
from lrpilot.agents import train as training
from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.agents.evaluate import act_by, evaluate
from lrpilot.agents.export import check_control, export
from lrpilot.agents.problem_sets import make_process, problem_set, role_seed
from lrpilot.agents.run import Run
from lrpilot.agents.train import new_model, score_of, train, validate
from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.signals import SIGNAL_NAMES

SMALL = ["ppo.iterations=4", "ppo.parallel=16", "ppo.replicas=4", "validation.problems=16", "validation.every=2"]
SMALL += ["decisions.decisions=10", "horizon=20", "decisions.steps=[2]"]
QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("nmf", SMALL)


def model_of(recipe: Recipe) -> PPO:
    return new_model(recipe, BatchedVecEnv(make_process(recipe, "train", 4), with_hidden=True, signals=recipe.signals))


def test_the_untrained_agent_is_the_same_bits_with_any_number_of_threads() -> None:
    wide = load_recipe("nmf", [*SMALL, "ppo.net=[96, 96]"])
    before = torch.get_num_threads()
    states = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        states.append(model_of(wide).policy.state_dict())
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_exported_policy_is_sb3s_to_1e_6(recipe: Recipe) -> None:
    model = model_of(recipe)
    rng = np.random.default_rng(0)
    observation = rng.uniform(-4, 4, (500, len(SIGNAL_NAMES))).astype(np.float32)
    policy = export(model, "nmf", recipe.decisions)
    assert policy.card["signals"] == list(recipe.signals)
    ours = policy.action(observation.T)  # it picks its signals out of all
    picked = observation[:, [SIGNAL_NAMES.index(name) for name in recipe.signals]]
    hidden = rng.uniform(-4, 4, (500, 5)).astype(np.float32)
    theirs, _ = model.predict(np.hstack([picked, hidden]), deterministic=True)
    np.testing.assert_allclose(ours, theirs[:, 0], atol=1e-6)


def test_a_policy_that_acts_in_another_way_than_runs_are_made_is_refused(recipe: Recipe) -> None:
    policy = export(model_of(recipe), "nmf", recipe.decisions)
    check_control(policy, recipe.decisions)
    check_control(load_policy("nmf"), load_recipe("nmf").decisions)
    other = replace(recipe.decisions, decisions=11, max_change=0.5)
    with pytest.raises(PolicyError, match=r"set decisions.decisions=10 decisions.max_change=null"):
        check_control(policy, other)
    changing = export(model_of(recipe), "nmf", replace(recipe.decisions, max_change=0.5))
    with pytest.raises(PolicyError, match=r"set decisions.max_change=0.5"):
        check_control(changing, recipe.decisions)


def test_training_begins_with_a_policy_that_sees_and_acts_alike(recipe: Recipe, tmp_path: Path) -> None:
    first = export(model_of(recipe), "nmf", recipe.decisions)
    path = tmp_path / "first.safetensors"
    first.save(path)
    seed = recipe.model_copy(update={"seed": 9, "ppo": recipe.ppo.model_copy(update={"begin_as": str(path)})})
    begun = export(model_of(seed), "nmf", recipe.decisions)
    for (weight, bias), (own_weight, own_bias) in zip(begun.layers, first.layers, strict=True):
        np.testing.assert_array_equal(weight, own_weight)
        np.testing.assert_array_equal(bias, own_bias)
    for key, value in (("signals", recipe.signals[:-1]), ("ppo.net", (8,))):
        changed = {"ppo": seed.ppo.model_copy(update={"net": value})} if key == "ppo.net" else {key: value}
        with pytest.raises(ConfigError, match=rf"ppo.begin_as is .*first.safetensors', whose {key} are .* set {key}"):
            model_of(seed.model_copy(update=changed))
    with pytest.raises(PolicyError, match=r"set decisions.decisions=10"):
        model_of(seed.model_copy(update={"decisions": replace(recipe.decisions, decisions=11)}))


def test_the_actor_does_not_see_the_hidden_state(recipe: Recipe) -> None:
    model = model_of(recipe)
    observation = np.zeros((2, len(recipe.signals) + 5), dtype=np.float32)
    observation[1, len(recipe.signals) :] = 3.0
    actions, _ = model.predict(observation, deterministic=True)
    assert actions[0] == actions[1]


@pytest.mark.parametrize("name", ["cnn", "nlp"])
def test_untrained_agents_climb_to_the_base_lr_and_stay_there(name: str) -> None:
    recipe = load_recipe(name, ["ppo.parallel=4", "ppo.replicas=4", "ppo.processes=1"])
    model = model_of(recipe)
    policy = export(model, name, recipe.decisions)
    shares = np.array(recipe.decisions.times(recipe.horizon)) / recipe.horizon
    log_multiple = recipe.decisions.log_start
    reached = []
    for share in shares:
        action = float(policy.action(np.eye(len(SIGNAL_NAMES))[0] * share))
        log_multiple = policy.control.log_multiple(action, log_multiple)
        reached.append(log_multiple)
    after = np.array(reached)[shares > 0.25]
    assert abs(after).max() < 0.5
    assert np.interp(-3.0, reached, shares) < 0.05


def test_what_is_exported_is_the_running_average_of_the_actor() -> None:
    model = model_of(load_recipe("nmf", [*SMALL, "ppo.averaging=0.75"]))
    policy = model.policy
    assert isinstance(policy, AsymmetricPolicy)
    bias = policy.get_parameter("action_net.bias").detach()  # the same memory
    expected = [bias.item()]
    for iteration in range(1, 8):
        bias += iteration
        share = max(0.25, 1 / (iteration + 1))  # the first four count alike
        expected.append((1 - share) * expected[-1] + share * bias.item())
        policy.average(iteration)
        policy.average(iteration)  # as when a run is resumed: no effect
    exported = export(model, "nmf", load_recipe("nmf").decisions)
    assert float(exported.layers[-1][1][0]) == pytest.approx(expected[-1], rel=1e-5)
    assert float(exported.layers[-1][1][0]) != pytest.approx(bias.item(), rel=0.1)


@pytest.mark.parametrize("averaging", [0.0, 0.5])
def test_a_killed_run_resumes_to_the_same_bits(
    recipe: Recipe, averaging: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = recipe.model_copy(update={"ppo": recipe.ppo.model_copy(update={"averaging": averaging})})
    whole = Run.start(recipe, tmp_path, "whole")
    train(whole, QUIET)
    broken = Run.start(recipe, tmp_path, "broken")
    original: Any = training._Iterations._on_rollout_start

    def dies_in_the_third(self: Any) -> None:
        original(self)
        if self.iteration == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(training._Iterations, "_on_rollout_start", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        train(broken, QUIET)
    monkeypatch.undo()
    resumed = train(Run.reopen(broken.folder), QUIET)
    assert resumed.fingerprint == load_policy(whole.best).fingerprint
    assert json.loads(broken.progress.read_text()) == json.loads(whole.progress.read_text())
    ends = [PPO.load(run.checkpoint, device="cpu").policy.state_dict() for run in (whole, broken)]
    for name, tensor in ends[0].items():
        assert (tensor == ends[1][name]).all(), name


def test_the_run_folder_holds_what_the_readme_says(recipe: Recipe, tmp_path: Path) -> None:
    run = Run.start(recipe, tmp_path)
    policy = train(run, QUIET)
    assert policy.card["trained"]["seed"] == recipe.seed
    assert load_recipe(run.folder / "config.yaml") == recipe
    kept = [load_policy(run.validated(iteration)).card["trained"]["iterations"] for iteration in (0, 2, 4)]
    assert kept == [0, 2, 4]
    assert list((run.folder / "tensorboard").glob("events*"))
    assert not list(run.folder.rglob("*.tmp*"))
    assert Run.start(recipe, tmp_path).folder.name == "seed0-2"
    with pytest.raises(ConfigError, match="exists: resume it"):
        Run.start(recipe, tmp_path, "seed0")


def test_reopening_nothing_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no run in"):
        Run.reopen(tmp_path)


def test_roles_have_seeds_of_their_own_and_problems_that_never_change(recipe: Recipe) -> None:
    seeds = [role_seed(role, index) for role in ("train", "tuning", "validation", "test") for index in range(100)]
    assert len(set(seeds)) == len(seeds)
    other = recipe.model_copy(update={"seed": 7})
    first, second = (next(problem_set(r, "test", 8)).task.objective() for r in (recipe, other))
    np.testing.assert_array_equal(first, second)


def test_hiding_gradients_changes_what_the_shipped_policy_sees_and_does(recipe: Recipe) -> None:
    act = act_by(load_policy("nmf"))
    seen, hidden = (evaluate(act, recipe, "test", 16, loss_only=blind) for blind in (False, True))
    np.testing.assert_array_equal(seen.action[0], hidden.action[0])
    assert (seen.action[1:] != hidden.action[1:]).any()


@pytest.mark.slow
def test_a_minute_of_training_beats_the_untrained_policy() -> None:
    settings = ["ppo.iterations=10", "ppo.parallel=128", "validation.problems=64"]
    recipe = load_recipe("nmf", settings)
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        run = Run.start(recipe, Path(folder))
        train(run, QUIET)
        scores = [score for _, score in json.loads(run.progress.read_text())["scores"]]
    assert min(scores) < scores[0] - 0.1


def test_problems_that_are_solved_count_alike() -> None:
    episodes = evaluate(act_by(load_policy("nmf")), load_recipe("nmf"), "validation", 8)
    plain, floored = (load_recipe("nmf", [f"validation.floor={floor}"]) for floor in ("null", -4.0))
    assert score_of([episodes, episodes], plain) == pytest.approx(episodes.final.mean())
    assert score_of([episodes], floored) == pytest.approx(np.where(episodes.final < -4, -4, episodes.final).mean())
    assert (episodes.final < -4).any()


def test_validation_counts_each_horizon_alike() -> None:
    policy = load_policy("nmf")
    recipe = load_recipe("nmf", ["validation.problems=8", "validation.horizons=[80, 40]"])
    short, long = validate(policy, recipe)
    for horizon, part in ((40, short), (80, long)):
        alone = load_recipe("nmf", ["validation.problems=8", f"horizon={horizon}"])
        np.testing.assert_array_equal(part.final, evaluate(act_by(policy), alone, "validation", 8).final)
    with pytest.raises(ConfigError, match=r"multiples of decisions\.decisions, 40, not 50"):
        load_recipe("nmf", ["validation.horizons=[40, 50]"])
