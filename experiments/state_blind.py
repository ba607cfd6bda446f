"""The control that shows what seeing is worth: python -m lrpilot.experiments.state_blind ENV.

An agent trained like the shipped one, by the same recipe and as long, which sees nothing of a run but the time and
its own LR: what it can learn is one schedule.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from lrpilot.agents.evaluate import act_by, evaluate
from lrpilot.agents.run import Run
from lrpilot.agents.train import train
from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.configs.recipe import NetRecipe
from lrpilot.envs.families import FAMILIES
from lrpilot.experiments.network_figures import REFERENCE
from lrpilot.experiments.networks import ERRORS, SCORED, compare_networks
from lrpilot.experiments.plain_torch.evidence import PLAIN_TORCH
from lrpilot.experiments.stats import Paired, paired
from lrpilot.files import commit, write_json
from lrpilot.policy import SUFFIX, SchedulePolicy, load_policy

CONTROLS = Path(__file__).parent / "controls"  # where trained ones are kept
BLIND = ("progress", "log_multiple")  # all that they see
TIMED = (*BLIND, "steps", "horizon")  # where decisions are timed in steps: these say nothing but the time either
NAME = "state_blind"
RUNS = Path("runs")


@dataclass(frozen=True)
class Sight:
    """What a policy gains over the blind one on test problems.

    Attributes:
        gain: On average, over all base LRs; + is better for the policy that sees.
        by_error: The same by error of the base LR, "× 1/16" to "× 16"; empty where the LR is a fraction of a bound.
        failed: Runs that ended tenfold worse than they began: of the policy that sees, of the blind one.
        runs: Of each.
    """

    gain: Paired
    by_error: dict[str, Paired]
    diverged: tuple[int, int]
    runs: int

    def as_dict(self) -> dict[str, Any]:
        """Return plain data."""
        by_error = {error: gain.as_dict() for error, gain in self.by_error.items()}
        return {"gain": self.gain.as_dict(), "by_error": by_error, "failed": list(self.diverged), "runs": self.runs}


def kept(env: str) -> Path:
    """Return where the blind agent of a recipe is kept."""
    return CONTROLS / f"{env}{SUFFIX}"


def blindfolded(recipe: Recipe) -> Recipe:
    """Return a recipe whose agent sees the time and its own LR, and is the same otherwise.

    Where training begins with a shipped policy, it begins with the blind agent of that one instead.
    """
    first = recipe.ppo.begin_as
    ppo = recipe.ppo if first is None else recipe.ppo.model_copy(update={"begin_as": str(kept(first))})
    signals = BLIND if recipe.decisions.first_interval is None else TIMED
    return recipe.model_copy(update={"signals": signals, "ppo": ppo})


def train_blind(recipe: Recipe, root: Path, console: Console) -> SchedulePolicy:
    """Train the blind agent of a recipe, or go on where it was stopped.

    Args:
        recipe: That of the policy that sees.
        root: Where runs are kept.
        console: Where progress is shown.

    Returns:
        The best on validation problems.

    Raises:
        ConfigError: The run that was begun has another recipe.
    """
    blind, folder = blindfolded(recipe), root / recipe.env / NAME
    if not Run(folder, blind).checkpoint.is_file():
        return train(Run.start(blind, root, NAME), console)
    run = Run.reopen(folder)
    if run.recipe != blind:
        raise ConfigError(f"run {folder} was begun with another recipe: remove it, or go back to that recipe")
    return train(run, console)


def sight(recipe: Recipe, seeing: SchedulePolicy, blind: SchedulePolicy, console: Console) -> Sight:
    """Compare a policy with the blind one on the test problems of a recipe.

    Args:
        recipe: The problems.
        seeing: The policy.
        blind: The control.
        console: Where progress is shown.
    """
    acts = {"seeing": act_by(seeing), "blind": act_by(blind)}
    if not isinstance(recipe, NetRecipe):
        size = recipe.comparison.test_problems
        seen, unseen = (evaluate(act, recipe, "test", size) for act in acts.values())
        diverged = (int(seen.diverged.sum()), int(unseen.diverged.sum()))
        return Sight(paired(seen.final, unseen.final), {}, diverged, size)
    with Progress(console=console) as progress:
        bar = progress.add_task("test networks", total=2 + len(acts))
        results = compare_networks(
            recipe,
            acts,
            recipe.comparison.test_problems // SCORED,
            tick=lambda: progress.advance(bar),
            families=[REFERENCE],
        )
    with_sight, without = (results.learned[name] for name in acts)
    gains = [paired(*pair) for pair in zip(with_sight.final, without.final, strict=True)]
    by_error = {f"× {error:g}": gain for error, gain in zip(ERRORS, gains, strict=True)}
    diverged = (int(with_sight.diverged.sum()), int(without.diverged.sum()))
    return Sight(paired(with_sight.final, without.final), by_error, diverged, with_sight.final.size)


def main(env: str) -> None:
    """Train the blind agent of a shipped recipe, keep it, and write what sight is worth.

    Where the plain_torch benchmark shows how good a policy is, it also shows what sight is worth, by another command.
    """
    console, recipe = Console(width=120), load_recipe(env)
    blind = train_blind(recipe, RUNS, console)
    kept(env).parent.mkdir(exist_ok=True)
    blind.save(kept(env))
    if FAMILIES[env].shown_by is PLAIN_TORCH:
        console.print(
            f"kept in {kept(env)}; what sight is worth: python -m lrpilot.experiments.plain_torch controls {env}"
        )
        return
    result = sight(recipe, load_policy(env), blind, console)
    path = Path("docs") / "results" / env / f"{NAME}.json"
    write_json(path, {"commit": commit(), **result.as_dict()})
    gain = result.gain
    console.print(
        f"What {env} sees is worth {gain.mean:+.3f} nats [{gain.low:+.3f}, {gain.high:+.3f}] on its test problems; "
        f"failed: {result.diverged[0]} with sight, {result.diverged[1]} without, of {result.runs} each."
    )
    for error, part in result.by_error.items():
        console.print(f"  from base LR {error}: {part.mean:+.3f} [{part.low:+.3f}, {part.high:+.3f}]")
    console.print(f"kept in {kept(env)}, written to {path}")


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in FAMILIES:
        main(sys.argv[1])
    else:
        raise SystemExit(f"give the name of a recipe: {', '.join(FAMILIES)}")
