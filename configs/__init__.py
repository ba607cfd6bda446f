"""Recipes: one YAML each, read into a frozen model that names what is wrong with it."""

from lrpilot.configs.load import ConfigError, list_recipes, load_recipe
from lrpilot.configs.recipe import Recipe

__all__ = ["ConfigError", "Recipe", "list_recipes", "load_recipe"]
