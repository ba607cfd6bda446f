"""PPO over the batched environment, with selection on validation problems and exact resuming."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.utils import set_random_seed

from lrpilot.agents import tensorboard_log
from lrpilot.agents.asymmetric import AsymmetricPolicy
from lrpilot.agents.evaluate import Episodes, act_by, evaluate
from lrpilot.agents.export import check_control, export
from lrpilot.agents.guided import GuidedPPO
from lrpilot.agents.problem_sets import role_seed, training_pool
from lrpilot.agents.run import Run
from lrpilot.configs import ConfigError, Recipe
from lrpilot.configs.load import dump
from lrpilot.envs.families import FAMILIES
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.files import commit, write_json
from lrpilot.policy import SchedulePolicy, load_policy

LAST_LR_SHARE = 0.1  # Adam's LR ends at this share of its start


def train(run: Run, console: Console) -> SchedulePolicy:
    """Train, or go on training where the run's checkpoint stands; the result is the same bit for bit.

    Args:
        run: The folder and the recipe.
        console: Where progress is shown.

    Returns:
        The best policy on the validation problems, also in `run.best`.
    """
    torch.set_num_threads(1)  # the matrices are small: a second thread costs more than it gives
    recipe = run.recipe
    ppo = recipe.ppo
    rewards = (ppo.replicas, ppo.reward_scale, ppo.reward_floor)
    env = BatchedVecEnv(training_pool(recipe), True, *rewards, recipe.signals, autoreset=False)
    known = run.checkpoint.is_file()
    model = GuidedPPO.load(run.checkpoint, env=env, device="cpu") if known else new_model(recipe, env)
    model.set_logger(configure(str(run.folder / "tensorboard"), ["tensorboard"]))
    total = recipe.ppo.iterations * _decisions_per_iteration(recipe)
    if model.num_timesteps < total:
        model._last_obs = np.zeros((env.num_envs, 0), dtype=np.float32)  # each iteration resets on its own
        with _progress(console) as progress:
            callback = _Iterations(run, progress)
            model.learn(total - model.num_timesteps, callback, log_interval=1, reset_num_timesteps=False)
    return load_policy(run.best)


def new_model(recipe: Recipe, env: BatchedVecEnv) -> GuidedPPO:
    """Return the untrained agent of a recipe: also the control that training is measured against.

    Args:
        recipe: Settings of PPO, and the seed.
        env: The environment.

    Returns:
        A PPO model.
    """
    ppo = recipe.ppo
    first, last = ppo.learning_rate, ppo.learning_rate * LAST_LR_SHARE
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the orthogonal first weights are other in the last bits with more
    model = GuidedPPO(
        AsymmetricPolicy,
        env,
        learning_rate=lambda remaining: last + (first - last) * remaining,
        n_steps=recipe.decisions.decisions,
        batch_size=max(2, _decisions_per_iteration(recipe) // ppo.minibatches),
        n_epochs=ppo.epochs,
        gamma=1.0,
        gae_lambda=ppo.gae_lambda,
        clip_range=ppo.clip_range,
        ent_coef=ppo.entropy,
        policy_kwargs={
            "net_arch": list(ppo.net),
            "log_std_init": ppo.log_std,
            "signals": recipe.signals,
            "averaging": ppo.averaging,
        },
        seed=role_seed("train", recipe.seed),
        device="cpu",
    )
    model.guide_by(ppo.guidance, recipe.decisions.max_change)
    assert isinstance(model.policy, AsymmetricPolicy)
    if ppo.begin_as is None:
        model.policy.begin_with(ppo.first_action, ppo.first_until)
    else:
        model.policy.begin_as(_first_policy(ppo.begin_as, recipe).layers)
    model.policy.average(0)
    torch.set_num_threads(threads)
    return model


def _first_policy(name: str, recipe: Recipe) -> SchedulePolicy:
    """Load the policy that training begins with; it must see and act as the recipe says."""
    policy = load_policy(name)
    check_control(policy, recipe.decisions)
    widths = tuple(len(bias) for _, bias in policy.layers[:-1])
    for key, wanted, own in (
        ("signals", recipe.signals, tuple(policy.card["signals"])),
        ("ppo.net", recipe.ppo.net, widths),
    ):
        if wanted != own:
            raise ConfigError(f"ppo.begin_as is {name!r}, whose {key} are {list(own)}, not {list(wanted)}: set {key}")
    return policy


class _Iterations(BaseCallback):
    """Before each rollout: validate if due, save a checkpoint, and draw new problems with the iteration's own seed.

    An iteration depends on the weights, the optimizer's state and its own number alone. That makes resuming exact.
    """

    def __init__(self, run: Run, progress: Progress) -> None:
        super().__init__()
        self.run = run
        self.progress = progress
        self.scores: list[tuple[int, float]] = []
        self.bar = progress.add_task("training", total=run.recipe.ppo.iterations)

    @property
    def iteration(self) -> int:
        return self.num_timesteps // _decisions_per_iteration(self.run.recipe)

    def _on_training_start(self) -> None:
        if self.run.progress.is_file():
            done = json.loads(self.run.progress.read_text())["scores"]
            self.scores = [(i, score) for i, score in done if i < self.iteration]

    def _on_rollout_start(self) -> None:
        iteration = self.iteration
        self._average()
        if iteration % self.run.recipe.validation.every == 0:
            self._validate()
        temporary = self.run.checkpoint.with_suffix(".tmp.zip")
        self.model.save(temporary)
        os.replace(temporary, self.run.checkpoint)
        self.progress.update(self.bar, completed=iteration)
        set_random_seed(role_seed("train", self.run.recipe.seed, iteration))
        env = self.training_env
        env.seed(role_seed("train", self.run.recipe.seed, iteration, 1))
        self.model._last_obs = env.reset()  # type: ignore[assignment]  # SB3 offers no public way to start over

    def _on_step(self) -> bool:
        return True

    def _on_training_end(self) -> None:
        self._average()
        self._validate()
        self.model.save(self.run.checkpoint)
        self.model.logger.dump(self.num_timesteps)
        self.progress.update(self.bar, completed=self.iteration)

    def _average(self) -> None:
        assert isinstance(self.model.policy, AsymmetricPolicy)
        self.model.policy.average(self.iteration)

    def _validate(self) -> None:
        recipe, iteration = self.run.recipe, self.iteration
        assert isinstance(self.model, PPO)
        policy = export(self.model, recipe.env, recipe.decisions, trained=provenance(recipe, iteration))
        episodes = validate(policy, recipe)
        score = score_of(episodes, recipe)
        policy.save(self.run.validated(iteration))
        if all(score < earlier for _, earlier in self.scores):
            policy.save(self.run.best)
        self.scores.append((iteration, score))
        write_json(self.run.progress, {"scores": self.scores})
        tensorboard_log.record_validation(self.model.logger, episodes[-1], FAMILIES[recipe.env].reference)
        best = min(score for _, score in self.scores)
        self.progress.console.print(
            f"iteration {iteration:3d} of {recipe.ppo.iterations}: log loss on validation {score:.3f}, "
            f"best {best:.3f}; {int(sum(part.diverged.sum() for part in episodes))} diverged"
        )


def validate(policy: SchedulePolicy, recipe: Recipe) -> list[Episodes]:
    """Play the validation problems, once with each horizon that counts; those of the longest runs come last."""
    return [
        evaluate(
            act_by(policy), recipe.model_copy(update={"horizon": horizon}), "validation", recipe.validation.problems
        )
        for horizon in sorted(recipe.validation.horizons or [recipe.horizon])
    ]


def score_of(episodes: Sequence[Episodes], recipe: Recipe) -> float:
    """Return what policies are selected by: the mean final log loss, all horizons alike, none below the floor."""
    floor = -np.inf if recipe.validation.floor is None else recipe.validation.floor
    return float(np.mean([np.maximum(part.final, floor).mean() for part in episodes]))


def provenance(recipe: Recipe, iteration: int) -> dict[str, Any]:
    """Return what a card says of a policy's origin.

    Args:
        recipe: What it was trained by.
        iteration: After how many iterations.

    Returns:
        Plain JSON data: recipe, seed, iterations, decisions, commit, versions.
    """
    packages = ("lrpilot", "torch", "stable-baselines3", "gymnasium", "numpy")
    return {
        "env": recipe.env,
        "seed": recipe.seed,
        "iterations": iteration,
        "decisions": iteration * _decisions_per_iteration(recipe),
        "recipe": dump(recipe),
        "commit": commit(),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
    }


def _decisions_per_iteration(recipe: Recipe) -> int:
    return recipe.ppo.parallel * recipe.decisions.decisions


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TextColumn("left"), TimeRemainingColumn(), console=console)
