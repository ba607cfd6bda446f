"""Recipes: each shipped one is valid, and each mistake is named in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lrpilot.configs import ConfigError, Recipe, list_recipes, load_recipe
from lrpilot.configs.load import HERE, dump
from lrpilot.envs.families import FAMILIES


@pytest.mark.parametrize("name", list_recipes())
@pytest.mark.parametrize("smoke", [False, True])
def test_shipped_recipes_load_and_survive_a_round_trip(name: str, smoke: bool, tmp_path: Path) -> None:
    recipe = load_recipe(name, smoke=smoke)
    (tmp_path / "again.yaml").write_text(dump(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("foo=1", "unknown key 'foo'; allowed are env, seed"),
        ("ppo.learning_rte=1", "did you mean 'learning_rate'"),
        ("iterations=3", "did you mean 'ppo.iterations'"),
        ("validation.horizon=[60]", "did you mean 'horizons'"),
        ("problems.rnk=[1, 2]", "did you mean 'rank'"),
        ("problems.rank=[-1, 3]", r"rank must be \[low, high\] with 1 <= low"),
        ("ppo.iterations=-3", "ppo.iterations is -3: input should be greater than or equal to 1"),
        ("ppo.replicas=7", "replicas"),
        ("decisions.steps=[]", "steps must be positive"),
        ("decisions.guard=loose", "guard"),
        ("env=foo", "env is 'foo', must be one of nmf, linear"),
        ("data.test=[digits]", "must not share a data set, digits is in two"),
        ("nonsense", "must read key=value"),
        ("a.b=1", "there is no section 'a'"),
        ("seed=[", "is not YAML"),
    ],
)
def test_mistakes_are_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        load_recipe("nmf", [override])
    assert "\n" not in str(error.value)


def test_files_that_are_no_recipes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no recipe 'foo': there are cnn, linear, nlp, nmf, universal"):
        load_recipe("foo")
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ConfigError, match="must be a mapping"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    with pytest.raises(ConfigError, match="not YAML"):
        load_recipe(tmp_path / "broken.yaml")


def _annotations(kind: type[Recipe]) -> list[object]:
    return [field.annotation for field in kind.model_fields.values()]


def test_every_setting_says_what_it_is() -> None:
    sections = [
        section
        for kind in {family.recipe_class for family in FAMILIES.values()}
        for section in (kind, *_annotations(kind))
    ]
    for section in sections:
        for name, field in getattr(section, "model_fields", {}).items():
            inner = hasattr(field.annotation, "model_fields") or hasattr(field.annotation, "__dataclass_fields__")
            assert inner or field.description, name


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("signals=[level, nope]", "signals must be different names out of progress"),
        ("signals=[level, level]", "signals must be different names out of progress"),
        ("comparison.tuning_problems=12", "must be the same multiple of 4"),
        ("unseen=[gru]", "unseen must be names of"),
    ],
)
def test_settings_that_do_not_fit_each_other(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("nlp", [override])


def test_keys_of_earlier_versions_are_read_in_files_and_overrides(tmp_path: Path) -> None:
    old = yaml.safe_load((HERE / "cnn.yaml").read_text())
    del old["smoke"], old["decisions"]["spike_guard"], old["ppo"]["reward_scale"], old["ppo"]["reward_floor"]
    old["decisions"]["reflex"] = 2.0
    old["ppo"] |= {"tail": 0.7, "worst": -1.0}
    old |= {"extra_agents": {}, "extra_families": {}}  # as runs of earlier versions wrote them down
    old["comparison"]["short_horizon"] = None
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(old))
    recipe = load_recipe(tmp_path / "old.yaml", ["ppo.worst=-2.0"])
    assert (recipe.decisions.spike_guard, recipe.ppo.reward_scale, recipe.ppo.reward_floor) == (2.0, 0.7, -2.0)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("extra_agents", {"short": {"below": 3, "overrides": {}}}),
        ("further", {"shorter": {"below": 3, "but": {}}}),
        ("beside", {"nmf": {"share": 0.1}}),
        ("comparison.short_horizon", 60),
    ],
)
def test_keys_that_are_gone_are_named(key: str, value: object, tmp_path: Path) -> None:
    message = f"key '{key.split('.')[-1]}' is gone, like the ensembles"
    with pytest.raises(ConfigError, match=message):
        load_recipe("cnn", [f"{key}={json.dumps(value)}"])
    section, _, last = key.rpartition(".")
    whole = yaml.safe_load((HERE / "cnn.yaml").read_text())
    (whole[section] if section else whole)[last] = value
    (tmp_path / "old.yaml").write_text(yaml.safe_dump(whole))
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "old.yaml")
