"""What a run is made of. Unknown keys fail by name; the resolved recipe is stored beside each result."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import Field, ValidationError, model_validator

from lrpilot.configs.settings import (
    BesideData,
    ComparisonSettings,
    Data,
    FurtherAgent,
    PPOSettings,
    RealRuns,
    Section,
    ValidationSettings,
)
from lrpilot.envs.families import Problems
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.architectures import ARCHITECTURES
from lrpilot.envs.tasks.linear_problems import LinearProblems
from lrpilot.envs.tasks.net_problems import NetProblems
from lrpilot.envs.tasks.nmf_problems import NMFProblems
from lrpilot.signals import SIGNAL_NAMES

HERE = Path(__file__).parent


class ConfigError(ValueError):
    """A recipe that is wrong; the message is one line: which key, what it was, what it may be."""


class Recipe(Section):
    """One training run and its comparison; each family of tasks has its own subclass."""

    env: str = Field(description="family of tasks, a key of lrpilot.envs.families.FAMILIES")
    seed: int = Field(ge=0, description="seed of training; tuning, validation and test problems never change")
    horizon: int = Field(ge=1, description="SGD steps of a run in tuning, validation and test")
    problems: Problems
    decisions: Decisions
    signals: tuple[str, ...] = Field(SIGNAL_NAMES, min_length=1, description="what the agent observes, in order")
    data: Data
    ppo: PPOSettings
    validation: ValidationSettings
    comparison: ComparisonSettings

    @model_validator(mode="after")
    def _signals(self) -> Self:
        unknown = [name for name in self.signals if name not in SIGNAL_NAMES]
        if unknown or len({*self.signals}) < len(self.signals):
            raise ValueError(f"signals must be different names of {', '.join(SIGNAL_NAMES)}, not {self.signals}")
        return self

    @model_validator(mode="after")
    def _whole_intervals(self) -> Self:
        decisions = self.decisions.decisions
        wrong = [steps for steps in (self.horizon, *self.validation.horizons) if steps < 1 or steps % decisions]
        if wrong:
            raise ValueError(
                f"horizon and validation.horizons must be multiples of decisions.decisions, {decisions}, not {wrong[0]}"
            )
        return self


class NMFRecipe(Recipe):
    """Stochastic non-negative matrix factorisation."""

    env: Literal["nmf"] = Field(description="stochastic NMF")
    problems: NMFProblems
    real: RealRuns


class LinearRecipe(Recipe):
    """Fine-tuning of linearised networks."""

    env: Literal["linear"] = Field(description="linearised networks")
    problems: LinearProblems


class NetRecipe(Recipe):
    """Networks in training: convolutional ones, networks on text, or all kinds from the losses alone."""

    env: Literal["cnn", "nlp", "universal"] = Field(description="kinds of networks")
    problems: NetProblems
    unseen: tuple[str, ...] = Field(description="architectures that test networks have beside those of `problems`")
    beside: dict[Literal["nmf", "linear"], BesideData] = Field({}, description="families that runs beside are of")
    further: dict[str, FurtherAgent] = Field({}, description="agents for some kinds of runs, by name")

    @property
    def networks_only(self) -> Self:
        """The same without runs of other families."""
        return self.model_copy(update={"beside": {}})

    @property
    def further_recipes(self) -> dict[str, Self]:
        """The recipes of the further agents, each of which is alone."""
        return {name: self._alone(agent.but) for name, agent in self.further.items()}

    def sees(self, name: str) -> bool:
        """Whether a further agent sees gradients in all of its runs."""
        return self.further_recipes[name].decisions.loss_only == 0

    @property
    def in_use(self) -> Self:
        """The same, with gradients shown to the policy if one of its agents reads them: how it is scored."""
        shown = any(map(self.sees, self.further))
        return self.model_copy(update={"decisions": replace(self.decisions, loss_only=0.0)}) if shown else self

    @property
    def on_short_runs(self) -> Self | None:
        """The recipe of the comparison on short runs, of the same networks, or None."""
        horizon = self.comparison.short_horizon
        return self.model_copy(update={"horizon": horizon}) if horizon else None

    def _alone(self, but: dict[str, Any]) -> Self:
        return self.model_validate(merged(self.model_dump(mode="json", exclude={"further"}), but))

    @model_validator(mode="after")
    def _further_agents(self) -> Self:
        for name, agent in self.further.items():
            least, below = agent.steps
            try:
                practised = self._alone(agent.but).decisions.steps
            except ValidationError as error:
                raise ValueError(f"further.{name}.but: {_explain(error, type(self))}") from None
            if not any(least <= steps < below for steps in practised):
                raise ValueError(
                    f"further.{name}.but.decisions.steps must have some from {least:g} to below {below:g}, which the "
                    f"agent is for, not {list(practised)}"
                )
        for one, other in combinations(self.further, 2):
            (a, b), (c, d) = self.further[one].steps, self.further[other].steps
            if self.sees(one) == self.sees(other) and max(a, c) < min(b, d):
                raise ValueError(f"further.{one} and further.{other} are for the same runs: change least or below")
        return self

    @model_validator(mode="after")
    def _halves(self) -> Self:
        tuning, test = self.comparison.tuning_problems, self.comparison.test_problems
        if tuning != test or test % 4:
            raise ValueError(
                "comparison.tuning_problems and comparison.test_problems must be the same multiple of 4 (each network "
                f"is tuned on four and scored on four), not {tuning} and {test}"
            )
        return self

    @model_validator(mode="after")
    def _unseen(self) -> Self:
        both = sorted({*self.unseen} & {*self.problems.architectures})
        if both or not {*self.unseen} <= {*ARCHITECTURES}:
            allowed = sorted({*ARCHITECTURES} - {*self.problems.architectures})
            raise ValueError(f"unseen must be names of {', '.join(allowed)}, not {', '.join(self.unseen)}")
        return self


RECIPES: dict[str, type[Recipe]] = {
    "nmf": NMFRecipe,
    "linear": LinearRecipe,
    **dict.fromkeys(("cnn", "nlp", "universal"), NetRecipe),
}


def list_recipes() -> list[str]:
    """Return the names of the shipped recipes."""
    return sorted(path.stem for path in HERE.glob("*.yaml"))


def load_recipe(recipe: str | os.PathLike[str], overrides: Sequence[str] = (), smoke: bool = False) -> Recipe:
    """Read a recipe.

    Args:
        recipe: Name of a shipped recipe, or path of a YAML file.
        overrides: "key.key=value" in YAML, applied last.
        smoke: Apply the recipe's `smoke` section: everything runs, small.

    Returns:
        The checked recipe.

    Raises:
        ConfigError: It can't be read, or a key or value is wrong.

    Example:
        >>> load_recipe("nmf", ["seed=3"]).seed
        3
    """
    path = Path(recipe)
    if str(recipe) in list_recipes():
        path = HERE / f"{recipe}.yaml"
    elif path.suffix not in {".yaml", ".yml"} or not path.is_file():
        raise ConfigError(f"no recipe {str(recipe)!r}: there are {', '.join(list_recipes())}, or give a YAML file")
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise ConfigError(f"{path}: must be a mapping of keys, not {type(raw).__name__}")
    small = raw.pop("smoke", {})
    for override in [f"{key}={value}" for key, value in small.items()] * smoke + list(overrides):
        _apply(raw, override)
    kind = RECIPES.get(str(raw.get("env")))
    if kind is None:
        raise ConfigError(f"{path}: env is {raw.get('env')!r}, must be one of {', '.join(RECIPES)}")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_explain(error, kind)}") from None


def dump(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML; `load_recipe` reads it back."""
    text: str = yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)
    return text


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r} must read key=value, such as ppo.iterations=10")
    *parents, last = key.split(".")
    section = raw
    for parent in parents:
        section = section.get(parent, None) if isinstance(section, dict) else None  # type: ignore[assignment]
    if not isinstance(section, dict):
        raise ConfigError(f"override {override!r}: there is no section {'.'.join(parents)!r}")
    try:
        section[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {value!r} is not YAML") from None


def merged(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """Return a mapping with the entries of another put in, or in the place of its own, section by section.

    Example:
        >>> merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}})
        {'a': {'b': 1, 'c': 3}}
    """
    result = dict(whole)
    for key, value in changes.items():
        inside = result.get(key)
        result[key] = merged(inside, value) if isinstance(inside, dict) and isinstance(value, dict) else value
    return result


def _explain(error: ValidationError, kind: type[Recipe]) -> str:
    """The first complaint, in one line: which key, what it was, what it may be."""
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        allowed = _allowed(first["loc"], kind)
        close = difflib.get_close_matches(str(first["loc"][-1]), allowed, 1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        return f"unknown key {key!r}; {hint}allowed are {', '.join(allowed)}"
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    if first["type"] == "value_error":  # one of our own, which names the key and what it may be
        return ": ".join(filter(None, (key, str(first["ctx"]["error"]))))
    return f"{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _allowed(location: tuple[int | str, ...], kind: type[Recipe]) -> list[str]:
    section: Any = kind.model_fields[str(location[0])].annotation if len(location) > 1 else kind
    return list(getattr(section, "model_fields", None) or section.__dataclass_fields__)
