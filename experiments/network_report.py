"""What `lrpilot train` and `lrpilot compare` show for networks: a table, a file with every number, and two figures."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from lrpilot.agents.evaluate import act_by
from lrpilot.arrays import Floats
from lrpilot.configs import ConfigError
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments.compare import replay, untrained
from lrpilot.experiments.network_figures import LEARNED, REFERENCE, lr_error, schedules
from lrpilot.experiments.networks import (
    ERRORS,
    FAMILIES,
    SCORED,
    NetworkResults,
    Runs,
    compare_networks,
    run_from_wrong,
)
from lrpilot.experiments.stats import Paired, paired
from lrpilot.files import commit, write_json
from lrpilot.policy import SchedulePolicy, load_policy

AS_GOOD, BETTER = 0.01, -0.02  # log test loss over a rival's: at most 1 % above it; more than 2 % below it
HIDDEN = "the same, gradients and weights hidden"
UNTRAINED, REPLAY = "control: untrained policy", "control: replay of the mean schedule"
FIRST = "the policy that training began with"
PACEMAKER = "cosine"  # whose final loss is to be reached


def compare_on_networks(
    recipe: NetRecipe,
    policies: Sequence[SchedulePolicy],
    folder: Path,
    console: Console,
    json_path: Path | None = None,
) -> NetworkResults:
    """Run the comparison, print it, and write `compare.json` and the figures.

    Args:
        recipe: The networks and the budget.
        policies: One or more learned policies; several count as seeds of one method.
        folder: Where the results go.
        console: Where everything is shown.
        json_path: If given, the JSON goes here, and nothing else is written.

    Returns:
        All runs.

    Raises:
        ConfigError: `comparison.baselines` has an unknown name, or lacks one that the report needs.
    """
    families = _families(recipe)
    networks = recipe.comparison.test_problems // SCORED
    acts = {f"{LEARNED} {index}": act_by(policy) for index, policy in enumerate(policies)}
    acts[UNTRAINED] = act_by(untrained(recipe))
    if recipe.ppo.begin_as is not None:
        acts[FIRST] = act_by(load_policy(recipe.ppo.begin_as))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        reads = policies[0].reads_gradients and recipe.decisions.loss_only < 1
        bar = progress.add_task(f"{networks} test networks", total=2 * len(families) + len(acts) + 1 + reads)
        results = compare_networks(recipe, acts, networks, "test", lambda: progress.advance(bar), families)
        mean = results.learned[f"{LEARNED} 0"].action.mean((0, 2))
        results.learned[REPLAY] = run_from_wrong(replay(mean), recipe, results.right)
        progress.advance(bar)
        if reads:
            results.learned[HIDDEN] = run_from_wrong(act_by(policies[0]), recipe, results.right, loss_only=True)
            progress.advance(bar)
    show(results, console)
    if json_path is not None:
        write_json(json_path, as_json(recipe, results))
        return results
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    write_json(folder / "compare.json", as_json(recipe, results))
    drawn = {"lr_error": lr_error(as_json(recipe, results)), "schedules": schedules(results)}
    for name, figure in drawn.items():
        figure.savefig(folder / "figures" / f"{name}.png", dpi=150)
    return results


def _families(recipe: NetRecipe) -> Sequence[str]:
    named = recipe.comparison.baselines or FAMILIES
    if not {REFERENCE, PACEMAKER} <= {*named} <= {*FAMILIES}:
        raise ConfigError(
            f"comparison.baselines must be names of {', '.join(FAMILIES)}, {REFERENCE} and {PACEMAKER} among them, "
            f"not {', '.join(named)}"
        )
    return named


def headline(document: dict[str, Any]) -> dict[str, float]:
    """Return the figures that runs are compared by in TensorBoard, from what `compare.json` holds."""
    learned = [runs for name, runs in document["from_wrong_base_lrs"].items() if name.startswith(LEARNED)]
    log_loss = float(np.mean([runs["final"] for runs in learned]))
    return {"log_loss": log_loss, "gain_over_tuned_linear": document["verdict"][REFERENCE]["mean"]}


def for_card(document: dict[str, Any]) -> dict[str, Any]:
    """Return what a policy's card says of the comparison.

    Args:
        document: What `as_json` returned, or `compare.json` holds.

    Returns:
        Plain data: commit, networks, gain over each tuned schedule, excess over tuned linear-to-zero by error of the
        base LR, share of the horizon to tuned cosine's final loss, failed runs and all runs; the last also for the runs
        whose gradients were hidden, with their excess, where the policy reads them.
    """
    learned = [runs for name, runs in document["from_wrong_base_lrs"].items() if name.startswith(LEARNED)]
    final = np.array([runs["final"] for runs in learned])  # (seeds, errors, problems)
    reference = np.array(document["tuned"][REFERENCE]["final"])
    excess = (final - reference).mean((0, 2))
    card = {
        "commit": document["commit"],
        "networks": final.shape[2] // SCORED,
        "policy_seeds": len(learned),
        "gain_over_tuned": {
            name: {key: round(value, 4) for key, value in gain.items()} for name, gain in document["verdict"].items()
        },
        f"excess_over_tuned_{REFERENCE}": {
            f"× {error:g}": round(float(value), 4) for error, value in zip(document["errors"], excess, strict=True)
        },
        "share_of_the_horizon_to_tuned_cosine": document["steps_to_cosine"],
        "failed": [sum(sum(runs["failed"]) for runs in learned), final.size],
    }
    if hidden := document["from_wrong_base_lrs"].get(HIDDEN):
        cost = round(float(np.mean(np.array(hidden["final"]) - reference)), 4)
        card["gradients_hidden"] = {f"excess_over_tuned_{REFERENCE}": cost, "failed": sum(hidden["failed"])}
    return card


def show(results: NetworkResults, console: Console) -> None:
    """Print what one untuned run costs or gains against each rival, and where wrong base LRs lead.

    Args:
        results: The runs.
        console: Where to.
    """
    table = Table(
        title="log(test loss / first test loss), and gain of one run from a base LR wrong by 1/16 to 16 over schedules "
        f"tuned over {len(results.base_lrs)} base LRs, for each network or once for all",
        box=box.SIMPLE,
    )
    table.add_column("tuned rival", no_wrap=True)
    for heading in ("mean", "gain [95 %]", "≤ 1 % worse", "> 2 % better"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_row(f"[bold]{LEARNED}[/]", f"{_learned(results).mean():+.3f}", "", "", "")
    table.add_row(
        "hindsight: best for each problem",
        f"{results.hindsight.mean():+.3f}",
        *_against(results, results.hindsight),
    )
    for family, runs in results.tuned.items():
        table.add_row(family, f"{runs.final.mean():+.3f}", *_against(results, runs.final[0]))
    for family, runs in results.tuned_once.items():
        table.add_row(f"{family}, tuned once for all", f"{runs.final.mean():+.3f}", *_against(results, runs.final[0]))
    for name in (name for name in (HIDDEN, FIRST, UNTRAINED, REPLAY) if name in results.learned):
        runs = results.learned[name]
        table.add_row(name, f"{runs.final.mean():+.3f}", *_against(results, runs.final))
    console.print(table)
    errors = Table(
        title=f"log test loss over that of tuned {REFERENCE}, by base LR over the right one "
        "(runs that ended tenfold worse than they began)",
        box=box.SIMPLE,
    )
    errors.add_column("from wrong base LRs", no_wrap=True)
    for error in ERRORS:
        errors.add_column(f"× {error:g}", justify="right")
    for name, runs in by_error(results).items():
        excess = (runs.final - results.tuned[REFERENCE].final).mean(1)
        diverged = runs.diverged.sum(1)
        errors.add_row(name, *(f"{e:+.3f}" + (f" ({n})" if n else "") for e, n in zip(excess, diverged, strict=True)))
    console.print(errors)
    steps = steps_to_cosine(results)
    median = f"after {steps:.0%} of the run" if np.isfinite(steps) else "never"
    console.print(f"Tuned cosine's final held-out loss is reached, from the right base LR, {median} (median).")


def by_error(results: NetworkResults) -> dict[str, Runs]:
    """Return all runs from wrong base LRs, by name."""
    return {**results.learned, **results.from_wrong_lrs}


def steps_to_cosine(results: NetworkResults) -> float:
    """Median share of the horizon after which the learned schedule has reached tuned cosine's final held-out loss.

    Runs that never do count as infinite.
    """
    target = results.tuned[PACEMAKER].curve[0, -1]
    curves = np.concatenate([runs.curve[ERRORS.index(1.0)] for runs in _policies(results)], 1)
    reached = curves <= np.tile(target, curves.shape[1] // len(target))
    first = np.where(reached.any(0), results.shares[reached.argmax(0)], np.inf)
    return float(np.median(first))


def as_json(recipe: NetRecipe, results: NetworkResults) -> dict[str, Any]:
    """Return everything that a reader needs to believe or repeat the comparison."""

    def runs(record: Runs) -> dict[str, Any]:
        return {"final": record.final.round(5).tolist(), "failed": record.diverged.sum(1).tolist()}

    return {
        "config": recipe.model_dump(mode="json"),
        "seed": recipe.seed,
        "commit": commit(),
        "errors": ERRORS,
        "base_lrs": results.base_lrs.tolist(),
        "verdict": {name: _paired(results, record).as_dict() for name, record in results.tuned.items()},
        "steps_to_cosine": steps if np.isfinite(steps := steps_to_cosine(results)) else None,
        "hindsight": results.hindsight.round(5).tolist(),
        "tuned": {
            name: runs(record) | {"setting": results.setting[name].tolist()} for name, record in results.tuned.items()
        },
        "tuned_once": {
            name: runs(record) | {"setting": results.setting_once[name]} for name, record in results.tuned_once.items()
        },
        "from_wrong_base_lrs": {name: runs(record) for name, record in by_error(results).items()},
    }


def _policies(results: NetworkResults) -> list[Runs]:
    return [runs for name, runs in results.learned.items() if name.startswith(LEARNED)]


def _learned(results: NetworkResults) -> Floats:
    """Final log test losses from all wrong base LRs, shape (seeds × errors, P)."""
    return np.concatenate([runs.final for runs in _policies(results)])


def _paired(results: NetworkResults, rival: Runs) -> Paired:
    return paired(_learned(results), rival.final)


def _against(results: NetworkResults, rival: Floats) -> tuple[str, str, str]:
    learned = _learned(results)
    gain = paired(learned, rival)
    excess = learned - (rival if rival.ndim == 1 else rival.mean(0))
    good, better = (excess <= AS_GOOD).mean(), (excess < BETTER).mean()
    return f"{gain.mean:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]", f"{good:.0%}", f"{better:.0%}"
