"""The comparison: learned policies against tuned baselines, controls and the hindsight oracle."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lrpilot.agents.evaluate import DIVERGED_SCORE, Act, Episodes, act_by, evaluate
from lrpilot.agents.export import export
from lrpilot.agents.problem_sets import make_process
from lrpilot.agents.train import new_model
from lrpilot.arrays import Floats
from lrpilot.configs import Recipe
from lrpilot.envs.shells.sb3_env import BatchedVecEnv
from lrpilot.experiments.baselines import Candidate
from lrpilot.experiments.stats import Paired, interquartile_mean, paired
from lrpilot.experiments.tuning import oracle_candidates, run_all, runs_to_tune, tune
from lrpilot.files import commit, write_json, write_text
from lrpilot.policy import SchedulePolicy

LEARNED = "learned"


@dataclass
class Comparison:
    """All results on the test problems.

    Attributes:
        recipe: What was compared.
        final: Final log loss relative to the start by method, shape (seeds, P).
        tuned: The tuned baseline of each family and unit, by label, with its score on the tuning problems.
        best: Label of the best tuned baseline, chosen on the tuning problems.
        oracle_size: Schedules that the oracle chooses from.
        episodes: Runs of the learned policies, one an entry.
        passes: Gradient evaluations by purpose.
    """

    recipe: Recipe
    final: dict[str, Floats] = field(default_factory=dict)
    tuned: dict[str, tuple[Candidate, float]] = field(default_factory=dict)
    best: str = ""
    oracle_size: int = 0
    episodes: list[Episodes] = field(default_factory=list)
    passes: dict[str, int] = field(default_factory=dict)

    def against(self, method: str) -> Paired:
        """The learned policies against another method."""
        return paired(self.final[LEARNED], self.final[method])

    @property
    def gap_closed(self) -> float:
        """Share of the gap between the best tuned baseline and the hindsight oracle that is closed."""
        best, oracle = self.final[self.best].mean(), self.final["oracle"].mean()
        return float((best - self.final[LEARNED].mean()) / (best - oracle)) if best != oracle else float("nan")


def compare(recipe: Recipe, policies: Sequence[SchedulePolicy], console: Console) -> Comparison:
    """Tune the baselines, then run everything on the test problems.

    Args:
        recipe: The problems and the budget.
        policies: One or more learned policies, usually of different training seeds.
        console: Where progress is shown.

    Returns:
        The results.
    """
    settings = recipe.comparison
    result = Comparison(recipe)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task("tuning the baselines", total=runs_to_tune(settings.base_lrs))
        tuned = tune(recipe, lambda done: progress.advance(bar, done))
        result.tuned = {candidate.label: (candidate, score) for candidate, score in tuned.values()}
        result.best = min(result.tuned, key=lambda label: result.tuned[label][1])
        hindsight = oracle_candidates(tuned, settings.base_lrs)
        result.oracle_size = len(hindsight)
        schedules = [candidate for candidate, _ in result.tuned.values()] + hindsight
        bar = progress.add_task("baselines and oracle on the test problems", total=len(schedules))
        rows = run_all(schedules, recipe, "test", settings.test_problems, lambda done: progress.advance(bar, done))
    count = len(result.tuned)
    result.final = dict(zip(result.tuned, rows[:count, None], strict=True))
    result.final["oracle"] = rows[count:].min(0)[None]
    _run_policies(result, policies)
    horizon = recipe.horizon
    trained = recipe.ppo.iterations * recipe.ppo.parallel * recipe.decisions.decisions
    result.passes = {
        "tuning all baselines": runs_to_tune(settings.base_lrs) * settings.tuning_problems * horizon,
        "meta-training each policy": round(trained * float(np.mean(recipe.decisions.steps))),
        "one run": horizon,
    }
    return result


def _run_policies(result: Comparison, policies: Sequence[SchedulePolicy]) -> None:
    """The learned policies, the same without gradients, and the controls."""
    recipe, size = result.recipe, result.recipe.comparison.test_problems
    result.episodes = [evaluate(act_by(policy), recipe, "test", size) for policy in policies]
    result.final[LEARNED] = np.array([episodes.final for episodes in result.episodes])
    result.final["learned, losses only"] = np.array([
        evaluate(act_by(policy), recipe, "test", size, loss_only=True).final for policy in policies
    ])
    result.final["control: untrained policy"] = evaluate(act_by(untrained(recipe)), recipe, "test", size).final[None]
    replays = [evaluate(replay(episodes.action.mean(1)), recipe, "test", size).final for episodes in result.episodes]
    result.final["control: replay of the mean schedule"] = np.array(replays)


def untrained(recipe: Recipe) -> SchedulePolicy:
    """Return the policy that a recipe begins with if there is none to begin with."""
    alone = recipe.model_copy(update={"ppo": recipe.ppo.model_copy(update={"processes": 1, "begin_as": None})})
    env = BatchedVecEnv(make_process(alone, "train", recipe.ppo.parallel), True, signals=recipe.signals)
    return export(new_model(alone, env), "untrained", recipe.decisions)


def replay(mean: Floats) -> Act:
    """Return a state-blind policy that plays the same actions, shape (K,), whatever it sees."""
    return lambda observation, decision: np.full(observation.shape[1], mean[decision])


def rows(result: Comparison) -> list[dict[str, Any]]:
    """Return the table: one row a method, best first, with the learned policies' paired gain over it."""
    table = []
    for method, final in sorted(result.final.items(), key=lambda item: item[1].mean()):
        row: dict[str, Any] = {
            "method": method,
            "mean": float(final.mean()),
            "iqm": interquartile_mean(final),
        }
        row["diverged"] = int((final == DIVERGED_SCORE).sum())
        row |= {} if method == LEARNED else {f"gain_{k}": v for k, v in result.against(method).as_dict().items()}
        table.append(row)
    return table


def write(result: Comparison, folder: Path, json_path: Path | None = None) -> None:
    """Write `compare.csv` and `compare.json`.

    Args:
        result: The results.
        folder: Where to.
        json_path: Where to write the JSON instead.
    """
    table = rows(result)
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["method", "mean", "iqm", "diverged", *(f"gain_{k}" for k in Paired.__dataclass_fields__)]
    )
    writer.writeheader()
    writer.writerows(table)
    if json_path is None:
        write_text(folder / "compare.csv", text.getvalue())
    write_json(json_path or folder / "compare.json", as_json(result))


def as_json(result: Comparison) -> dict[str, Any]:
    """Return everything that a reader needs to believe or repeat the comparison."""
    verdict = {"best_baseline": result.best, **result.against(result.best).as_dict()}
    return {
        "config": result.recipe.model_dump(mode="json"),
        "seed": result.recipe.seed,
        "commit": commit(),
        "policies": len(result.episodes),
        "verdict": {**verdict, "gap_to_oracle_closed": result.gap_closed, "oracle_size": result.oracle_size},
        "gradient_evaluations": result.passes,
        "tuned": {label: score for label, (_, score) in result.tuned.items()},
        "methods": rows(result),
        "final_log_loss": {method: final.tolist() for method, final in result.final.items()},
    }
