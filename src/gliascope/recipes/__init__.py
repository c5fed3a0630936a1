"""Recipes: YAML files that describe how a classifier is trained, and the schema they follow."""

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
