"""Choose the policy that ships: python -m lrpilot.experiments.ship RUN … (finished runs of one recipe)."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.agents.train import commit
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments import table
from lrpilot.experiments.compare import LEARNED, Comparison, compare, write
from lrpilot.experiments.evidence import EVIDENCE
from lrpilot.experiments.figures import draw_all
from lrpilot.experiments.network_report import SHORT_RUNS, compare_on_networks, for_card
from lrpilot.policy import SHIPPED, SUFFIX, SchedulePolicy, load_policy

SUMMARY = {
    "nmf": "stochastic NMF; LR as a fraction of a stability bound (lrpilot.theory.NMFBound); "
    "reads losses, and gradient norms where it can",
    "linear": "fine-tuning of linearised networks with a squared loss; LR as a fraction of a stability bound "
    "(2 / lrpilot.theory.minibatch_smoothness); reads losses, and gradient norms where it can",
    "cnn": "convolutional networks on images and signals; LR as a multiple of your base LR, which may be wrong by a "
    "factor of 16; reads losses, and gradients and weights where it can",
    "nlp": "networks on text; LR as a multiple of your base LR, which may be wrong by a factor of 16; "
    "reads losses, and gradients and weights where it can",
    "universal": "any network, losses are enough; LR as a multiple of your base LR, which may be wrong by a factor of "
    "16; reads gradients and weights as well where it can, on runs of up to 539 steps",
}
_TUNED = "runs whose LR you can tune: a tuned schedule is better still; "
_NETWORKS = (
    "fine-tuning, where a small LR is the point; losses that may be negative or whose scale changes during the run; "
    "runs of fewer than {steps} steps; "
    "networks of more than about 10^5 parameters have not been tried"
)
NOT_FOR = {
    "nmf": "training neural networks, or any loss without a stability bound; large, badly scaled matrices under strong "
    "additive gradient noise, where it lowers the LR too early (docs/log.md)",
    "linear": "networks that are not linearised, unless a bound on their sharpness is given and the run is short; "
    "any loss without a stability bound",
    "cnn": "loops that hide the gradients (zero_grad before the step of the scheduler), if the base LR may be 4 times "
    "too high or more: by losses alone 5 of 96 such runs failed on test networks; " + _NETWORKS.format(steps="180"),
    "nlp": _TUNED + _NETWORKS.format(steps="180"),
    "universal": _TUNED + _NETWORKS.format(steps="sixty"),
}


def ship(folders: Sequence[Path], console: Console) -> Path:
    """Compare all runs as seeds of one method, and ship the one that is best on validation.

    Args:
        folders: Folders of finished runs.
        console: Where progress and results are shown.

    Returns:
        The shipped file.
    """
    runs = [Run.reopen(folder) for folder in folders]
    policies = [load_policy(run.policy) for run in runs]
    scores = [min(score for _, score in json.loads(run.progress.read_text())["scores"]) for run in runs]
    best = scores.index(min(scores))
    recipe = runs[best].recipe
    evidence = Path("docs") / "results" / recipe.env
    evidence.mkdir(parents=True, exist_ok=True)
    card = {
        **policies[best].card,
        "summary": SUMMARY[recipe.env],
        "not_for": NOT_FOR[recipe.env],
        "selection": {"seeds": [run.recipe.seed for run in runs], "validation": scores, "chosen": best},
        "results": _evidence(runs[best], policies, evidence, console),
    }
    path = SHIPPED / f"{recipe.env}{SUFFIX}"
    SchedulePolicy(card, policies[best].layers).save(path)
    return path


def _evidence(run: Run, policies: Sequence[SchedulePolicy], folder: Path, console: Console) -> dict[str, Any]:
    """Compare, write everything into a folder, and return what the card says.

    A single run on networks has been compared already; its evidence is taken over.
    """
    if isinstance(run.recipe, NetRecipe):
        results = _on_networks(run.recipe, run.folder, policies, folder, console)
        if run.recipe.on_short_runs:
            parts = (run.folder / SHORT_RUNS, policies, folder / SHORT_RUNS, console)
            results |= {"on_short_runs": _on_networks(run.recipe.on_short_runs, *parts)}
        return results
    result = compare(run.recipe, policies, console)
    table.show(result, console)
    write(result, folder)
    draw_all(result, folder)
    return _results(result) | EVIDENCE[run.recipe.env](result, run.policy, folder, console)


def _on_networks(
    recipe: NetRecipe, done: Path, policies: Sequence[SchedulePolicy], folder: Path, console: Console
) -> dict[str, Any]:
    if len(policies) == 1:
        shutil.copytree(done / "figures", folder / "figures", dirs_exist_ok=True)
        shutil.copy(done / "compare.json", folder)
    else:
        compare_on_networks(recipe, policies, folder, console)
    return {"steps": recipe.horizon, **for_card(json.loads((folder / "compare.json").read_text()))}


def _results(result: Comparison) -> dict[str, Any]:
    verdict = result.against(result.best).as_dict()
    return {
        "commit": commit(),
        "test_problems": result.recipe.comparison.test_problems,
        "policy_seeds": len(result.episodes),
        "mean_final_log_loss": {name: round(float(final.mean()), 4) for name, final in result.final.items()},
        "against_best_tuned_baseline": {"baseline": result.best, **{k: round(v, 4) for k, v in verdict.items()}},
        "without_gradients": round(result.against(result.best).mean - _loss_only_cost(result), 4),
        "gap_to_oracle_closed": round(result.gap_closed, 4),
        "exploded": int(sum(episodes.exploded.sum() for episodes in result.episodes)),
    }


def _loss_only_cost(result: Comparison) -> float:
    return float(result.final["learned, losses only"].mean() - result.final[LEARNED].mean())


if __name__ == "__main__":
    print(ship([Path(folder) for folder in sys.argv[1:]], Console(width=120)))
