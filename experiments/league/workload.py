"""The tasks of a suite: fixed problems, which every rival meets from the same start and with the same mini-batches."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lrpilot.agents.problem_sets import make_process, role_seed
from lrpilot.configs import ConfigError, Recipe, load_recipe
from lrpilot.configs.load import HERE
from lrpilot.configs.recipe import NetRecipe
from lrpilot.envs.families import FAMILIES
from lrpilot.envs.process import Decisions, Process

SUITE = "suite-v1"


@dataclass(frozen=True)
class Workload:
    """One task of a suite: 2·P problems of one kind; a rival is tuned on the first P and scored on the others.

    Attributes:
        name: Its id in the suite.
        recipe: The distribution of problems, with the workload's own data, architecture and optimizer.
        problems: P.
        seed: Of problems and mini-batches.
    """

    name: str
    recipe: Recipe
    problems: int
    seed: int

    @property
    def family(self) -> str:
        """Return the family of tasks, such as "nmf"."""
        return self.recipe.env

    @property
    def horizon(self) -> int:
        """Return the SGD steps of a run."""
        return self.recipe.horizon

    @property
    def unit(self) -> str:
        """Return what base LRs are multiples of, for tables."""
        return "the stability bound" if FAMILIES[self.family].reference == "bound" else "the LR that seems right"

    def start(self, settings: int, decisions: Decisions | None = None, loss_only: bool = True) -> Process:
        """Return all problems at their start, always the same ones.

        Args:
            settings: C, how many successive runs each problem has.
            decisions: How a policy acts, if it is not the recipe's manner.
            loss_only: Hide gradients and weights.

        Returns:
            The process with 2·P·C runs; base LRs are those that seem right, or the bounds.
        """
        recipe = self.recipe if decisions is None else self.recipe.model_copy(update={"decisions": decisions})
        if isinstance(recipe, NetRecipe):
            alike = replace(recipe.problems, alike=2 * self.problems)
            recipe = recipe.model_copy(update={"problems": alike})
        runs = 2 * self.problems * settings
        process = make_process(recipe, "test", runs, loss_only, settings)
        process.seed(role_seed("test", self.seed))
        process.reset()
        if FAMILIES[self.family].reference == "base LR":
            process.task.set_lr_error(np.ones(runs))
            process.reference = process.task.reference()
        return process

    def key(self) -> str:
        """Return a digest of everything that the problems depend on, but for the program."""
        content = {
            "recipe": self.recipe.model_dump(mode="json", include={"env", "problems", "data", "horizon"}),
            "problems": self.problems,
            "seed": self.seed,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def load_suite(problems: int, seed: int, suite: str = SUITE) -> list[Workload]:
    """Read a suite.

    Args:
        problems: P, scored problems of each workload; as many are tuned on.
        seed: Of problems and mini-batches.
        suite: Its name, a file of `configs/comparisons`.

    Returns:
        The workloads in the suite's order.

    Raises:
        ConfigError: There is no such suite, or one of its tasks is wrong.

    Example:
        >>> load_suite(8, 0)[0].name
        'nmf-synthetic'
    """
    path = HERE / "comparisons" / f"{suite}.yaml"
    if not path.is_file():
        raise ConfigError(f"no suite {suite!r}: there are {', '.join(list_suites())}")
    tasks: dict[str, dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return [
        Workload(name, load_recipe(task["recipe"], task["overrides"]), problems, seed) for name, task in tasks.items()
    ]


def list_suites(folder: Path = HERE / "comparisons") -> list[str]:
    """Return the names of the suites."""
    return sorted(path.stem for path in folder.glob("suite-*.yaml"))
