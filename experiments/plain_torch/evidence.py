"""The benchmark as what shows how good a policy is: after training, in `lrpilot compare`, and on a card."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from rich.console import Console

from lrpilot.agents.run import Run
from lrpilot.card import PolicyError
from lrpilot.configs import Recipe
from lrpilot.experiments.evidence import AbstractEvidence
from lrpilot.experiments.plain_torch.network import Role
from lrpilot.experiments.plain_torch.plan import HORIZONS
from lrpilot.experiments.plain_torch.report import report
from lrpilot.experiments.plain_torch.tables import HEADINGS, report_table
from lrpilot.experiments.stats import interval
from lrpilot.files import write_json
from lrpilot.policy import SUFFIX, SchedulePolicy

BASE_LRS = HEADINGS[:3]
CARD_ROLE: Role = "validation"  # of the networks that cards are about; those for test are looked at once, at the end
LOOKED_AT: dict[Role, str] = {
    "validation": "validation: looked at while the policy was chosen",
    "test": "test: looked at once, after the policy was chosen",
}
WIDTH = 170  # of tables, characters


class PlainTorch(AbstractEvidence):
    """Of policies for networks of any kind: on validation networks while one is chosen, on test networks in `compare`.

    Of a recipe only `comparison` counts, not how its decisions are made.
    """

    def check(self, policy: SchedulePolicy, recipe: Recipe) -> None:
        """Refuse a policy that needs a stability bound; see `AbstractEvidence.check`."""
        if policy.control.action != "multiple_of_base":
            raise PolicyError(f"policy {policy.card['name']!r} needs a stability bound, which networks have not")

    def compare(
        self, recipe: Recipe, policies: Sequence[SchedulePolicy], folder: Path, json_path: Path | None, console: Console
    ) -> None:
        """Compare on test networks; see `AbstractEvidence.compare`."""
        benchmark(recipe, policies, "test", json_path or folder / "compare.json", console)

    def after_training(self, run: Run, policy: SchedulePolicy, console: Console) -> dict[str, float]:
        """Compare on validation networks; see `AbstractEvidence.after_training`."""
        data = benchmark(run.recipe, [policy], "validation", run.folder / "compare.json", console)
        means = {horizon: rows[0]["all"][0] for horizon, rows in data["horizons"].items()}
        return {f"excess_over_tuned_linear_at_{horizon}_steps": mean for horizon, mean in means.items()}

    def for_card(self, run: Run, policies: Sequence[SchedulePolicy], folder: Path, console: Console) -> dict[str, Any]:
        """Compare on the networks of `CARD_ROLE`; see `AbstractEvidence.for_card`."""
        data = benchmark(run.recipe, policies, CARD_ROLE, folder / "compare.json", console)
        learned = {horizon: rows[: len(policies)] for horizon, rows in data["horizons"].items()}
        excess = {horizon: np.mean([row["excess"] for row in rows], 0) for horizon, rows in learned.items()}
        runs = [(row["diverged"], row["runs"]) for rows in learned.values() for row in rows]
        return {
            **{f"excess_over_tuned_linear_at_{horizon}_steps": _mean(values) for horizon, values in excess.items()},
            "networks": max(values.shape[1] for values in excess.values()),
            "networks_are": LOOKED_AT[CARD_ROLE],
            "policy_seeds": len(policies),
            "diverged": np.sum(runs, 0).tolist(),
            "commit": data["commit"],
            "by_base_lr": {
                f"{horizon} steps": dict(zip(BASE_LRS, values.mean(1).round(4).tolist(), strict=True))
                for horizon, values in excess.items()
            },
            "by_network": {f"{horizon} steps": _by_network(rows) for horizon, rows in learned.items()},
        }


def _mean(excess: Any) -> list[float]:
    """Mean over base LRs and networks, shape (base LRs, N), and the ends of its interval over networks."""
    return [round(value, 4) for value in (float(excess.mean()), *interval(excess.mean(0)))]


def _by_network(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Median, spread over base LRs, share of networks ahead of cosine: means over policies, where they are known."""
    figures = {name: [row[name] for row in rows] for name in ("median", "spread", "ahead_of_cosine")}
    return {name: round(float(np.mean(values)), 4) for name, values in figures.items() if None not in values}


def benchmark(
    recipe: Recipe, policies: Sequence[SchedulePolicy], role: Role, path: Path, console: Console
) -> dict[str, Any]:
    """Run policies on the networks of a role, print the tables, and write everything as JSON.

    Args:
        recipe: Says under `comparison` how many networks, steps and processes.
        policies: What is compared.
        role: Which networks.
        path: Where the JSON goes.
        console: Where tables are shown.

    Returns:
        What `report` returns; in the rows of each horizon the policies come first.
    """
    settings = recipe.comparison
    names = [str(policy.card["name"]) for policy in policies]
    labels = names if len(names) == 1 else [f"{name} {number}" for number, name in enumerate(names)]
    with TemporaryDirectory() as folder:  # workers read policies from files
        files = {str(Path(folder) / f"{number}{SUFFIX}"): label for number, label in enumerate(labels)}
        for file, policy in zip(files, policies, strict=True):
            policy.save(Path(file))
        horizons = settings.horizons or HORIZONS
        data = report(list(files), role, horizons, processes=settings.processes, most=settings.networks)
    wide = Console(file=console.file, width=WIDTH, quiet=console.quiet)
    for horizon, rows in data["horizons"].items():
        for row in rows:
            row["name"] = files.get(row["name"], row["name"])
        wide.print(report_table(rows, horizon, len(rows[0]["networks"])))
    write_json(path, data)
    return data


PLAIN_TORCH = PlainTorch()
