"""The inputs that one stage of a recipe trains and validates on."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from gliascope.training.activations import Activations, CachedActivations
from gliascope.training.data import TrainingData
from gliascope.training.frozen_backbone import FrozenBackbone
from gliascope.training.inputs import Inputs, OnTheFlyInputs, deployed_views, pixels_on_device

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True, slots=True)
class StageInputs:
    """Inputs of a stage's trainable layers for each subset; the same object where nothing is cached."""

    train: Inputs
    val: Inputs
    test: Inputs

    def release(self) -> None:
        """Release memory that can be loaded again."""
        for inputs in (self.train, self.val, self.test):
            inputs.release()


def create_inputs(
    fabric: "Fabric", data: TrainingData, stage_number: int, *, frozen: nn.Module | None, cut: str | None
) -> StageInputs:
    """Create the inputs of a stage: read from cached activations where views repeat, else computed anew.

    Parameters
    ----------
    fabric
        Lightning Fabric, whose processes share the work of filling the cache.
    data
        The recipe and its slices.
    stage_number
        Which stage of the recipe, from 0.
    frozen
        The frozen layers, on the device; None where all layers are trained.
    cut
        Name of the last frozen layer.
    """
    recipe, device = data.recipe, fabric.device
    frozen_backbone = None
    if frozen is not None:
        images = (recipe.views or recipe.stages[stage_number].epochs) * len(data.store.hashes)
        frozen_backbone = FrozenBackbone(frozen, device, images, recipe.precision)
    computed = OnTheFlyInputs(
        data.store,
        recipe,
        frozen_backbone=frozen_backbone,
        device=device,
        device_pixels=pixels_on_device(data.store, device),
    )
    train: Inputs = computed
    val: Inputs = computed
    test: Inputs = computed
    if frozen_backbone is not None and data.cache:
        activations = Activations(computed, str(cut), fabric)
        views = deployed_views(recipe, recipe.tta.in_validation)
        if recipe.views:
            train = CachedActivations(activations, range(recipe.views), data.train.rows)
        if not recipe.augmented_validation:
            val = CachedActivations(activations, views, data.val.rows)
        if recipe.watch_test:
            test = CachedActivations(activations, views, data.test.rows)
    return StageInputs(train, val, test)
