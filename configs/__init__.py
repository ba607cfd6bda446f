"""Recipes: one YAML each, read into a frozen model that names what is wrong with it."""

from lrpilot.configs.load import ConfigError as ConfigError
from lrpilot.configs.load import list_recipes as list_recipes
from lrpilot.configs.load import load_recipe as load_recipe
from lrpilot.configs.recipe import Recipe as Recipe
