"""Check that a recipe can be trained, before its slices are read."""

import torch

from gliascope.models.classifier import build_classifier
from gliascope.models.freezing import frozen_layers
from gliascope.recipes import Recipe
from gliascope.training.distributed import create_fabric
from gliascope.training.losses import Criterion
from gliascope.training.optimizers import create_optimizer


def check_trainable(recipe: Recipe, classes: int = 2, devices: int = 1) -> None:
    """Build the network, loss and optimisers that `train` will build, to see that none raises an error.

    Parameters
    ----------
    recipe
        What is to be trained.
    classes
        Number of classes.
    devices
        Number of GPUs, as for `train`.

    Raises
    ------
    RecipeError
        For a pooling, loss, optimiser, backbone or frozen layer that is unknown or does not fit.
    WeightsError
        Where pretrained weights cannot be found.
    RunError
        For more devices than this machine has.
    """
    create_fabric(devices)
    classifier = build_classifier(recipe, classes)
    Criterion(recipe.loss, torch.ones(classes))(torch.zeros(1, classes), torch.zeros(1, dtype=torch.int64))
    for stage in recipe.stages:
        frozen_layers(classifier, stage.freeze)
        create_optimizer(classifier, stage, torch.zeros(()))
