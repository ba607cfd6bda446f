"""From a recipe to a trained policy and its evidence: what `lrpilot train` and `lrpilot compare` do."""

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.agents.tensorboard_log import record_hparams
from lrpilot.agents.train import train
from lrpilot.configs import Recipe
from lrpilot.envs.families import FAMILIES
from lrpilot.files import make_folder
from lrpilot.policy import load_policy

SMOKE = "smoke run: everything ran, but small; its policy is not trained and its figures mean nothing"


def train_agent(run: Run, console: Console, smoke: bool = False) -> None:
    """Train (or go on), compare on unseen problems, and show what else the family has to show.

    Args:
        run: The folder and the recipe.
        console: Where everything is shown.
        smoke: Whether the recipe was made small, so that its results mean nothing.
    """
    started = time.monotonic()
    console.print(f"[bold]{run.folder}[/]  (TensorBoard: make tensorboard; Ctrl-C is safe)")
    policy = train(run, console)
    policy.save(run.policy)
    trained = policy.card["trained"]
    console.print(f"exported {run.policy}: best on validation, after {trained['iterations']} iterations")
    scores = FAMILIES[run.recipe.env].shown_by.after_training(run, policy, console)
    record_hparams(run.folder / "tensorboard", run.recipe, scores)
    minutes = (time.monotonic() - started) / 60
    console.print(f"done in {minutes:.1f} minutes; everything is in {run.folder}")
    if smoke:
        console.print(f"[bold]{SMOKE}[/]")


def compare_policies(
    recipe: Recipe, names: Sequence[str], folder: Path, json_path: Path | None, console: Console, smoke: bool = False
) -> None:
    """Compare policy files with the tuned baselines, and print and write the result.

    Args:
        recipe: The problems and the budget.
        names: Names or paths of policies; several count as seeds of one method.
        folder: Where the results go.
        json_path: Write the JSON here and nothing else.
        console: Where everything is shown.
        smoke: Whether the recipe was made small, so that its results mean nothing.

    Raises:
        PolicyError: A policy can't be compared so; see `AbstractEvidence.check`.
    """
    policies, evidence = [load_policy(name) for name in names], FAMILIES[recipe.env].shown_by
    for policy in policies:
        evidence.check(policy, recipe)
    make_folder(json_path.parent if json_path else folder)
    evidence.compare(recipe, policies, folder, json_path, console)
    console.print(f"written to {json_path or folder}")
    if smoke:
        console.print(f"[bold]{SMOKE}[/]")


def check_data(recipe: Recipe) -> None:
    """Load all data sets of a recipe, so that a bad one fails before anything is made.

    Args:
        recipe: Names its data sets by role.

    Raises:
        DataError: One can't be had or can't be used.
    """
    for role in ("train", "validation", "test"):
        for name in getattr(recipe.data, role):
            FAMILIES[recipe.env].load(name)
