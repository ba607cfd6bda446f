"""Zero-shot transfer: python -m lrpilot.experiments.transfer (or make transfer). Policies where they never trained."""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from lrpilot.agents.evaluate import act_by
from lrpilot.configs import Recipe, load_recipe
from lrpilot.configs.load import HERE
from lrpilot.configs.recipe import NetRecipe
from lrpilot.control import Control
from lrpilot.experiments.network_figures import REFERENCE
from lrpilot.experiments.networks import ERRORS, NetworkResults, Tick, compare_networks
from lrpilot.experiments.stats import Paired, paired
from lrpilot.files import commit, write_json
from lrpilot.policy import SchedulePolicy, list_policies, load_policy

ROWS = HERE / "comparisons" / "transfer.yaml"
RESULTS = Path("docs") / "results" / "transfer.json"
RIVAL = "cosine"  # run from the same wrong base LRs
BASELINES = (REFERENCE, RIVAL)
PARTS = 2 * len(BASELINES) + 1
NETWORKS = 8  # of each row; four problems of each are scored, from five base LRs


@dataclass(frozen=True)
class Transfer:
    """One row: what a policy does where it was not trained.

    Attributes:
        row: Where it was taken.
        policy: Its name.
        right: Gain over tuned linear-to-zero from the right base LR, nats of log test loss.
        wrong: The same, averaged over all wrong base LRs.
        by_error: Excess of log test loss over it, by error of the base LR.
        cosine_by_error: What cosine has from the same base LRs.
        failed: Runs that ended tenfold worse than they began, and of how many.
    """

    row: str
    policy: str
    right: Paired
    wrong: Paired
    by_error: list[float]
    cosine_by_error: list[float]
    diverged: tuple[int, int]

    @property
    def holds(self) -> bool:
        """Whether no run failed and the gain from the right base LR is not below 0, as far as the interval tells."""
        return self.diverged[0] == 0 and self.right.high >= 0


def transfers(rows: dict[str, dict[str, Any]], networks: int, tick: Tick = lambda: None) -> Iterator[Transfer]:
    """Run the rows, one after the other, once all of their policies are known.

    Args:
        rows: By name: the policy, the recipe and the overrides that make it another place.
        networks: Test networks of each row.
        tick: Called after each of PARTS parts of a row.

    Yields:
        What became of each.

    Raises:
        PolicyError: A policy does not exist.
    """
    ready = []
    for name, row in rows.items():
        policy = load_policy(row["policy"])
        ready.append((name, row["policy"], acting_as(policy, load_recipe(row["recipe"], row["overrides"])), policy))
    for name, policy_name, recipe, policy in ready:
        results = compare_networks(recipe, {"learned": act_by(policy)}, networks, tick=tick, families=BASELINES)
        yield _summary(name, policy_name, results)


def acting_as(policy: SchedulePolicy, recipe: Recipe) -> NetRecipe:
    """Return a recipe of networks with decisions that are made as a policy makes them."""
    assert isinstance(recipe, NetRecipe)
    own = {field.name: getattr(policy.control, field.name) for field in fields(Control)}
    return recipe.model_copy(update={"decisions": replace(recipe.decisions, **own)})


def _summary(name: str, policy: str, results: NetworkResults) -> Transfer:
    learned, tuned = results.learned["learned"], results.tuned[REFERENCE].final

    def excess(final: Any) -> list[float]:
        return [round(float(value), 4) for value in (final - tuned).mean(1)]

    return Transfer(
        name,
        policy,
        paired(learned.final[ERRORS.index(1.0)], tuned),
        paired(learned.final, tuned),
        excess(learned.final),
        excess(results.from_wrong_lrs[RIVAL].final),
        (int(learned.diverged.sum()), learned.diverged.size),
    )


def show(transfer: Transfer, table: Table) -> None:
    """Append a row to a table made by `new_table`."""

    def gain(result: Paired) -> str:
        return f"{result.mean:+.3f} [{result.low:+.3f}, {result.high:+.3f}]"

    diverged, runs = transfer.diverged
    largest_error = f"{np.max(transfer.by_error):+.3f} ({np.max(transfer.cosine_by_error):+.3f})"
    holds = "yes" if transfer.holds else "no"
    table.add_row(
        transfer.row,
        transfer.policy,
        gain(transfer.right),
        gain(transfer.wrong),
        largest_error,
        f"{diverged}/{runs}",
        holds,
    )


def new_table(networks: int) -> Table:
    """Return the empty table."""
    title = f"Gain over linear-to-zero tuned for each of {networks} networks, nats of log test loss"
    table = Table(title=title, box=box.SIMPLE)
    for heading in ("taken to", "policy"):
        table.add_column(heading)
    for heading in ("right base LR", "base LR × 1/16 … 16", "worst error (cosine)", "failed", "holds"):
        table.add_column(heading, justify="right", no_wrap=True)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the rows whose policies ship, print the table and write it as JSON; the others are named."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    everything: dict[str, dict[str, Any]] = yaml.safe_load(ROWS.read_text(encoding="utf-8"))
    parser.add_argument(
        "--row", action="append", choices=list(everything), help="measure this one anew; by default all"
    )
    parser.add_argument("--output", type=Path, default=RESULTS, metavar="FILE", help="where all numbers go")
    given = parser.parse_args(arguments)
    console, table = Console(width=150), new_table(NETWORKS)
    rows = {name: everything[name] for name in given.row or everything if everything[name]["policy"] in list_policies()}
    for name in (name for name in given.row or everything if name not in rows):
        console.print(f"left out, {everything[name]['policy']} does not ship: {name}")
    done = _earlier(given.output) if given.row else {}
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TextColumn("left"))
    with Progress(*columns, TimeRemainingColumn(), console=console) as progress:
        bar = progress.add_task(f"{len(rows)} rows", total=len(rows) * PARTS)
        for count, transfer in enumerate(transfers(rows, NETWORKS, lambda: progress.advance(bar)), 1):
            show(transfer, table)
            done[transfer.row] = asdict(transfer) | {"holds": transfer.holds, "commit": commit()}
            console.print(f"{count} of {len(rows)}: {transfer.row}")
            in_order = [done[name] for name in everything if name in done]
            write_json(given.output, {"networks": NETWORKS, "errors": ERRORS, "rows": in_order})
    console.print(table)


def _earlier(path: Path) -> dict[str, dict[str, Any]]:
    """Rows of an earlier output by name, none if there is none."""
    return {row["row"]: row for row in json.loads(path.read_text(encoding="utf-8"))["rows"]} if path.is_file() else {}


if __name__ == "__main__":
    main()
