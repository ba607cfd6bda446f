"""Reading recipes: YAML, overrides from the command line, and the names that keys had in earlier versions."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lrpilot.configs.recipe import Recipe, explain
from lrpilot.envs.families import FAMILIES
from lrpilot.errors import UserError

HERE = Path(__file__).parent
RENAMED = {  # keys of earlier versions -> those of today
    "reflex": "spike_guard",
    "tail": "reward_scale",
    "worst": "reward_floor",
}
REMOVED = {"extra_agents", "further", "extra_families", "beside", "short_horizon"}


class ConfigError(UserError):
    """A recipe that is wrong; the message is one line: which key, what it was, what it may be."""


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
    raw = renamed(raw)
    small = raw.pop("smoke", {})
    for override in [f"{key}={value}" for key, value in small.items()] * smoke + list(overrides):
        _apply(raw, override)
    family = FAMILIES.get(str(raw.get("env")))
    if family is None:
        raise ConfigError(f"{path}: env is {raw.get('env')!r}, must be one of {', '.join(FAMILIES)}")
    if isinstance(raw.get("decisions"), dict):
        raw["decisions"].setdefault("action", family.decisions.action)
    kind: type[Recipe] = family.recipe_class
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(f"{path}: {explain(error, kind, family.name)}") from None


def renamed(raw: Any) -> Any:
    """Return a recipe, or a part of one, with the keys of today; dotted keys as well. Removed keys may be empty.

    Raises:
        ConfigError: A removed key is not.

    Example:
        >>> renamed({"ppo.tail": 1, "decisions": {"reflex": 3.0}, "extra_agents": {}})
        {'ppo.reward_scale': 1, 'decisions': {'spike_guard': 3.0}}
    """
    if not isinstance(raw, dict):
        return raw
    kept = {str(key): value for key, value in raw.items() if value or key not in REMOVED}
    return {".".join(map(_name_now, key.split("."))): renamed(value) for key, value in kept.items()}


def _name_now(key: str) -> str:
    if key in REMOVED:
        raise ConfigError(
            f"key {key!r} is gone, like the ensembles of agents that it was for: a recipe trains one agent"
        )
    return RENAMED.get(key, key)


def dump(recipe: Recipe) -> str:
    """Return the resolved recipe as YAML; `load_recipe` reads it back."""
    return yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False)


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"override {override!r} must read key=value, such as ppo.iterations=10")
    *parents, last = map(_name_now, key.split("."))
    section = raw
    for parent in parents:
        section = section.get(parent, None) if isinstance(section, dict) else None  # type: ignore[assignment]
    if not isinstance(section, dict):
        raise ConfigError(f"override {override!r}: there is no section {'.'.join(parents)!r}")
    try:
        section[last] = renamed(yaml.safe_load(value))
    except yaml.YAMLError:
        raise ConfigError(f"override {override!r}: {value!r} is not YAML") from None
