"""From a recipe to a trained policy and its evidence: what `lrpilot train` and `lrpilot compare` do."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from lrpilot.agents.export import check_manner
from lrpilot.agents.joined import train_all
from lrpilot.agents.run import Run
from lrpilot.agents.tensorboard_log import record_hparams
from lrpilot.configs import Recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.envs.families import FAMILIES
from lrpilot.experiments import figures, table
from lrpilot.experiments.compare import Comparison, compare, write
from lrpilot.experiments.evidence import EVIDENCE
from lrpilot.experiments.network_report import SHORT_RUNS, compare_on_networks, headline
from lrpilot.policy import load_policy


def train_agent(run: Run, console: Console) -> None:
    """Train (or go on), compare on unseen problems, and show what else the family has to show.

    Args:
        run: The folder and the recipe.
        console: Where everything is shown.
    """
    started = time.monotonic()
    console.print(f"[bold]{run.folder}[/]  (TensorBoard: make tensorboard; Ctrl-C is safe)")
    policy = train_all(run, console)
    trained = policy.card["trained"]
    console.print(f"exported {run.policy}: best on validation, after {trained['iterations']} iterations")
    if isinstance(run.recipe, NetRecipe):
        scores = headline(compare_on_networks(run.recipe, [policy], run.folder, console))
        if run.recipe.on_short_runs:
            console.print(f"the same networks on runs of {run.recipe.on_short_runs.horizon} steps")
            compare_on_networks(run.recipe.on_short_runs, [policy], run.folder / SHORT_RUNS, console)
    else:
        result = compare(run.recipe, [policy], console)
        write(result, run.folder)
        figures.draw_all(result, run.folder / "figures")
        table.show(result, console)
        EVIDENCE[run.recipe.env](result, run.policy, run.folder, console)
        scores = _scores(result)
    record_hparams(run.folder / "tensorboard", run.recipe, scores)
    minutes = (time.monotonic() - started) / 60
    console.print(f"done in {minutes:.1f} minutes; everything is in {run.folder}")


def compare_policies(
    recipe: Recipe, names: Sequence[str], folder: Path, json_path: Path | None, console: Console
) -> None:
    """Compare policy files with the tuned baselines, and print and write the result.

    Args:
        recipe: The problems and the budget.
        names: Names or paths of policies; several count as seeds of one method.
        folder: Where the results go.
        json_path: Write the JSON here and nothing else.
        console: Where everything is shown.

    Raises:
        PolicyError: A policy was trained to act in another way than the recipe's runs are made.
    """
    policies = [load_policy(name) for name in names]
    for policy in policies:
        check_manner(policy, recipe.decisions)
    if isinstance(recipe, NetRecipe):
        compare_on_networks(recipe, policies, folder, console)
        return
    result = compare(recipe, policies, console)
    table.show(result, console)
    if json_path is None:
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        figures.draw_all(result, folder / "figures")
        console.print(f"written to {folder}")
    write(result, folder, json_path)


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


def _scores(result: Comparison) -> dict[str, float]:
    verdict = result.against(result.best)
    return {
        "log_loss": float(result.final["learned"].mean()),
        "gain_over_best_baseline": verdict.mean,
        "wins_over_best_baseline": verdict.win,
        "gap_to_oracle_closed": result.gap_closed,
    }
