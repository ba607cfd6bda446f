"""What a family of tasks is: everything that the rest of the project needs to know of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import Any

from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.base import AbstractTask


@dataclass(frozen=True)
class Family:
    """One family of tasks.

    Attributes:
        name: Also that of its recipe and of its policy.
        problems: The distribution that problems are drawn from; called without arguments, the default one. Its class is
            that of the section `problems` of a recipe.
        task: Makes the batched task from the distribution, a batch size, names of data sets and `replicas`.
        load: Reads a data set by name; raises DataError if it can't be had or can't be used.
        decisions: How an agent acts by default; `action` says what the reference LR is.
        description: Docstring of its environment, in Gymnasium's form; "{signals}" and "{observations}" are filled in.
        summary: What its policy is for, for cards.
        not_for: What its policy is not for, for cards.
        env_id: Gymnasium id, or None.
        at_once: Problems in one batch of tensors, outside training: the fastest size on one core, or fewer where those
            of a batch are alike.
        recipe: Class of its recipes, "module:name".
        evidence: What shows how good a policy is, an `AbstractEvidence`, "module:name".
    """

    name: str
    problems: Callable[[], Any]
    task: Callable[[Any, int, Sequence[str], int], AbstractTask]
    load: Callable[[str], object]
    decisions: Decisions
    description: str
    summary: str
    not_for: str
    env_id: str | None = None
    at_once: int = 256
    recipe: str = "lrpilot.configs.recipe:Recipe"
    evidence: str = "lrpilot.experiments.evidence:BOUNDED"

    @property
    def recipe_class(self) -> Any:
        """The class of its recipes."""
        return resolve_name(self.recipe)

    @property
    def shown_by(self) -> Any:
        """What shows how good a policy is."""
        return resolve_name(self.evidence)

    @property
    def reference(self) -> str:
        """What an LR is a multiple of, in words."""
        return "bound" if self.decisions.action == "fraction_of_bound" else "base LR"
