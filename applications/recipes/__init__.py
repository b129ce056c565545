"""How to train: one recipe a paper, and the default one."""

from applications.recipes.catalog import list_recipes, recipe
from applications.recipes.schema import Recipe

__all__ = ["Recipe", "list_recipes", "recipe"]
