"""Recipes: how a classifier is trained, as data."""

from gliascope.recipes.load import load_recipe, recipe_names, recipe_text
from gliascope.recipes.schema import (
    Augmentation,
    Head,
    Loss,
    Precision,
    Recipe,
    Stage,
    TestTimeAugmentation,
    TtaView,
)

__all__ = [
    "Augmentation",
    "Head",
    "Loss",
    "Precision",
    "Recipe",
    "Stage",
    "TestTimeAugmentation",
    "TtaView",
    "load_recipe",
    "recipe_names",
    "recipe_text",
]
