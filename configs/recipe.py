"""What a run is made of: one frozen model a recipe, each of its sections checked."""

import difflib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator

from lrpilot.configs.settings import (
    ComparisonSettings,
    Data,
    PPOSettings,
    RealRuns,
    Section,
    ValidationSettings,
)
from lrpilot.envs.families import FAMILIES
from lrpilot.envs.process import Decisions
from lrpilot.envs.tasks.nets.architectures import ARCHITECTURES
from lrpilot.envs.tasks.nets.problems import NetProblems
from lrpilot.envs.tasks.nmf.problems import NMFProblems
from lrpilot.signals import SIGNAL_NAMES, known_signals


class Recipe(Section):
    """One training run and its comparison; families with sections of their own have a subclass."""

    env: str = Field(description="family of tasks, a key of lrpilot.envs.families.FAMILIES")
    seed: int = Field(ge=0, description="seed of training; tuning, validation and test problems never change")
    horizon: int = Field(ge=1, description="SGD steps of a run in tuning, validation and test")
    problems: Any = Field(description="ranges that problems are drawn from, of the family's class")
    decisions: Decisions
    signals: tuple[str, ...] = Field(SIGNAL_NAMES, description="what the agent observes, in order")
    data: Data
    ppo: PPOSettings
    validation: ValidationSettings
    comparison: ComparisonSettings

    def problems_for(self, role: str) -> Any:
        """Return the distribution that the problems of a role are drawn from."""
        return self.problems

    @field_validator("problems", mode="before")
    @classmethod
    def _problems(cls, value: Any, info: ValidationInfo) -> Any:
        env = info.data["env"]
        kind: type[Any] = type(FAMILIES[env].problems())
        for key in value if isinstance(value, dict) else ():
            if key not in _keys(kind):
                raise ValueError(_unknown(["problems", key], cls, env))
        return TypeAdapter(kind).validate_python(value)

    @model_validator(mode="after")
    def _signals(self) -> Self:
        if not known_signals(self.signals):
            raise ValueError(f"signals must be different names out of {', '.join(SIGNAL_NAMES)}, not {self.signals}")
        return self

    @model_validator(mode="after")
    def _whole_intervals(self) -> Self:
        decisions = self.decisions.decisions
        needed = 1 if self.decisions.horizons else decisions
        wrong = [steps for steps in (self.horizon, *self.validation.horizons) if steps < 1 or steps % needed]
        if wrong:
            raise ValueError(
                f"horizon and validation.horizons must be multiples of decisions.decisions, {decisions}, not {wrong[0]}"
            )
        return self


class NMFRecipe(Recipe):
    """Stochastic non-negative matrix factorisation."""

    problems: NMFProblems
    real: RealRuns


class NetRecipe(Recipe):
    """Networks in training: convolutional ones, or networks on text."""

    problems: NetProblems
    unseen: tuple[str, ...] = Field(description="architectures that test networks have beside those of `problems`")

    def problems_for(self, role: str) -> NetProblems:
        """Return the distribution; test networks are of unseen architectures, too."""
        unseen = self.unseen if role == "test" else ()
        return replace(self.problems, architectures=self.problems.architectures + unseen)

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


def explain(error: ValidationError, kind: type[Recipe], env: str) -> str:
    """Return the first complaint in one line: which key, what it was, what it may be.

    Args:
        error: What pydantic raised.
        kind: The class of the recipe.
        env: Its family.
    """
    first = error.errors()[0]
    location = [str(part) for part in first["loc"]]
    key = ".".join(location)
    if first["type"] in {"extra_forbidden", "unexpected_keyword_argument"}:
        return _unknown(location, kind, env)
    if first["type"] == "missing":
        return f"key {key!r} is missing"
    if first["type"] == "value_error":  # one of our own, which names the key and what it may be
        said = str(first["ctx"]["error"])
        return said if said.startswith("unknown key") else ": ".join(filter(None, (key, said)))
    return f"{key} is {first['input']!r}: {first['msg'][0].lower()}{first['msg'][1:]}"


def _unknown(location: list[str], kind: type[Recipe], env: str) -> str:
    """Name an unknown key, and the one that may be meant: in its own section, or else of that name in another."""
    sections = {name: _keys(field.annotation) for name, field in kind.model_fields.items()}
    sections["problems"] = _keys(type(FAMILIES[env].problems()))
    allowed = sections[location[0]] if len(location) > 1 else list(sections)
    elsewhere = [f"{name}.{key}" for name, keys in sections.items() for key in keys if key == location[-1]]
    meant = elsewhere or difflib.get_close_matches(location[-1], allowed, 1)
    hint = f"did you mean {' or '.join(map(repr, meant))}? " if meant else ""
    return f"unknown key {'.'.join(location)!r}; {hint}allowed are {', '.join(allowed)}"


def _keys(section: Any) -> list[str]:
    keys: Mapping[str, Any] = getattr(section, "model_fields", None) or getattr(section, "__dataclass_fields__", {})
    return list(keys)
