"""Recipes: how a classifier is trained, as data."""

from gliascope.recipes.load import load_recipe, recipe_names
from gliascope.recipes.schema import Augmentation, Head, Recipe, Stage

__all__ = ["Augmentation", "Head", "Recipe", "Stage", "load_recipe", "recipe_names"]
