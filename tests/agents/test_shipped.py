"""The recipes that ship are those that the shipped policies were trained by, also when defaults have grown since."""

from __future__ import annotations

import pytest
import yaml

from lrpilot.configs import load_recipe
from lrpilot.configs.load import renamed
from lrpilot.policy import list_policies, load_policy


@pytest.mark.parametrize("name", list_policies())
def test_a_recipe_is_the_one_that_its_policy_was_trained_by(name: str) -> None:
    card = load_policy(name).card
    recipe = load_recipe(name, [f"seed={card['trained']['seed']}"])
    then = renamed({"signals": card["signals"], **yaml.safe_load(card["trained"]["recipe"])})
    then["decisions"] |= {"action": card["action"]}
    assert type(recipe).model_validate(then).model_copy(update={"comparison": recipe.comparison}) == recipe
