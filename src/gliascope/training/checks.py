"""Whether a recipe can be trained, told before the slices it will train on are read."""

import torch

from gliascope.models.classifier import build_classifier
from gliascope.models.freezing import frozen_layers
from gliascope.recipes import Recipe
from gliascope.training.distributed import create_fabric
from gliascope.training.losses import Criterion
from gliascope.training.optimizers import create_optimizer


def check_trainable(recipe: Recipe, classes: int = 2, devices: int = 1) -> None:
    """Build what `train` will build, and forget it.

    Raises RecipeError for a pooling, loss, optimizer, backbone or frozen part that is unknown or does not
    fit, WeightsError where weights cannot be had, RunError for more devices than there are.
    """
    create_fabric(devices)
    classifier = build_classifier(recipe, classes)
    Criterion(recipe.loss, torch.ones(classes))(torch.zeros(1, classes), torch.zeros(1, dtype=torch.int64))
    for stage in recipe.stages:
        frozen_layers(classifier, stage.freeze)
        create_optimizer(classifier, stage, torch.zeros(()))
