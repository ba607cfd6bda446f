"""Recipes: one YAML each, read into a frozen model that names what is wrong with it."""

from lrpilot.configs.recipe import ConfigError as ConfigError
from lrpilot.configs.recipe import Recipe as Recipe
from lrpilot.configs.recipe import list_recipes as list_recipes
from lrpilot.configs.recipe import load_recipe as load_recipe
