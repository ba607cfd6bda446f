"""What shows how good a family's policy is: the comparison with tuned baselines, and what else there is to show."""

import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from lrpilot.agents.export import check_control
from lrpilot.agents.run import Run
from lrpilot.configs import Recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.experiments import chebyshev, network_report, real, table
from lrpilot.experiments.compare import LEARNED, Comparison, compare, write
from lrpilot.experiments.figures import draw_all
from lrpilot.experiments.network_report import compare_on_networks
from lrpilot.files import commit
from lrpilot.policy import SchedulePolicy

More = Callable[[Comparison, Path, Path, Console], dict[str, Any]]  # result, policy file, folder, console -> for cards


class AbstractEvidence(ABC):
    """How the policies of a family are shown to be good, or not."""

    def check(self, policy: SchedulePolicy, recipe: Recipe) -> None:
        """Refuse a policy that can't be compared.

        Args:
            policy: The policy.
            recipe: The problems.

        Raises:
            PolicyError: It was trained to act in another way than runs are made.
        """
        check_control(policy, recipe.decisions)

    @abstractmethod
    def compare(
        self, recipe: Recipe, policies: Sequence[SchedulePolicy], folder: Path, json_path: Path | None, console: Console
    ) -> None:
        """Compare policies with tuned baselines, and print and write the result.

        Args:
            recipe: The problems and the budget.
            policies: Several count as seeds of one method.
            folder: Where the results go.
            json_path: If given, the JSON goes here, and nothing else is written.
            console: Where everything is shown.
        """

    @abstractmethod
    def after_training(self, run: Run, policy: SchedulePolicy, console: Console) -> dict[str, float]:
        """Compare the policy of a run, show what else there is to show, and return final scores by name, in nats."""

    @abstractmethod
    def for_card(self, run: Run, policies: Sequence[SchedulePolicy], folder: Path, console: Console) -> dict[str, Any]:
        """Show everything for a policy that is published.

        Args:
            run: That of the chosen policy, finished.
            policies: Those of all seeds.
            folder: Where the evidence goes.
            console: Where everything is shown.

        Returns:
            The entry `results` of its card.
        """


class Bounded(AbstractEvidence):
    """Of families with a bound: all problems are alike, and baselines are tuned once for all.

    Args:
        more: What else there is to show.
    """

    def __init__(self, more: More = lambda *_: {}) -> None:
        self._more = more

    def compare(
        self, recipe: Recipe, policies: Sequence[SchedulePolicy], folder: Path, json_path: Path | None, console: Console
    ) -> None:
        """Compare; see `AbstractEvidence.compare`."""
        self._compared(recipe, policies, folder, folder / "figures", json_path, console)

    def after_training(self, run: Run, policy: SchedulePolicy, console: Console) -> dict[str, float]:
        """Compare and show the rest; see `AbstractEvidence.after_training`."""
        result = self._compared(run.recipe, [policy], run.folder, run.folder / "figures", None, console)
        self._more(result, run.policy, run.folder, console)
        verdict = result.against(result.best)
        return {
            "log_loss": float(result.final[LEARNED].mean()),
            "gain_over_best_baseline": verdict.mean,
            "wins_over_best_baseline": verdict.win,
            "gap_to_oracle_closed": result.gap_closed,
        }

    def for_card(self, run: Run, policies: Sequence[SchedulePolicy], folder: Path, console: Console) -> dict[str, Any]:
        """Show everything; see `AbstractEvidence.for_card`."""
        result = self._compared(run.recipe, policies, folder, folder, None, console)
        verdict = result.against(result.best).as_dict()
        hidden = float(result.final["learned, losses only"].mean() - result.final[LEARNED].mean())
        return {
            "commit": commit(),
            "test_problems": result.recipe.comparison.test_problems,
            "policy_seeds": len(result.episodes),
            "mean_final_log_loss": {name: round(float(final.mean()), 4) for name, final in result.final.items()},
            "against_best_tuned_baseline": {"baseline": result.best, **{k: round(v, 4) for k, v in verdict.items()}},
            "without_gradients": round(result.against(result.best).mean - hidden, 4),
            "gap_to_oracle_closed": round(result.gap_closed, 4),
            "diverged": int(sum(episodes.diverged.sum() for episodes in result.episodes)),
        } | self._more(result, run.policy, folder, console)

    def _compared(
        self,
        recipe: Recipe,
        policies: Sequence[SchedulePolicy],
        folder: Path,
        figures: Path,
        json_path: Path | None,
        console: Console,
    ) -> Comparison:
        result = compare(recipe, policies, console)
        table.show(result, console)
        if json_path is None:
            figures.mkdir(parents=True, exist_ok=True)
            draw_all(result, figures)
        write(result, folder, json_path)
        return result


class OnNetworks(AbstractEvidence):
    """Of families of networks: baselines are tuned for each network, and base LRs are wrong."""

    def compare(
        self, recipe: Recipe, policies: Sequence[SchedulePolicy], folder: Path, json_path: Path | None, console: Console
    ) -> None:
        """Compare; see `AbstractEvidence.compare`."""
        compare_on_networks(cast(NetRecipe, recipe), policies, folder, console, json_path)

    def after_training(self, run: Run, policy: SchedulePolicy, console: Console) -> dict[str, float]:
        """Compare; see `AbstractEvidence.after_training`."""
        self.compare(run.recipe, [policy], run.folder, None, console)
        return network_report.headline(json.loads((run.folder / "compare.json").read_text(encoding="utf-8")))

    def for_card(self, run: Run, policies: Sequence[SchedulePolicy], folder: Path, console: Console) -> dict[str, Any]:
        """Show everything; see `AbstractEvidence.for_card`. What a single run has shown already is taken over."""
        if len(policies) == 1:
            shutil.copytree(run.folder / "figures", folder / "figures", dirs_exist_ok=True)
            shutil.copy(run.folder / "compare.json", folder)
        else:
            self.compare(run.recipe, policies, folder, None, console)
        document = json.loads((folder / "compare.json").read_text(encoding="utf-8"))
        return {"steps": run.recipe.horizon, **network_report.for_card(document)}


BOUNDED = Bounded()
NMF = Bounded(real.evidence)
LINEAR = Bounded(chebyshev.evidence)
NETWORKS = OnNetworks()
