from dataclasses import replace

import numpy as np
import pytest
from lightning.fabric import Fabric
from tiny import TINY

from gliascope.errors import RecipeError
from gliascope.recipes import load_recipe
from gliascope.training.batches import Batches
from gliascope.training.data import Subset, TrainingData


def test_the_order_of_an_epoch_and_the_partners_of_mixup_are_drawn_apart(prepared) -> None:
    """Epoch n and step n of a stage took the same random numbers: partners followed from the order."""
    recipe = prepared.recipe.model_copy(update={"mixup": 1.0})
    parts = (Subset.from_split(prepared.split, prepared.store, name) for name in ("train", "val", "test"))
    material = TrainingData(recipe, prepared.store, 4, *parts)
    batches = Batches(Fabric(accelerator="cpu", devices=1), material, 0)
    rows = len(material.train.rows)
    for number in range(3):
        shared = np.random.default_rng([recipe.seed, 0, number])
        drawn, partners = batches.mixup_partners(number, rows)
        as_the_order = shared.beta(1.0, 1.0)
        assert float(drawn) != np.float32(max(as_the_order, 1 - as_the_order))
        assert not np.array_equal(partners, shared.permutation(rows))
        again = batches.mixup_partners(number, rows)
        assert np.array_equal(partners, again[1])
        assert drawn == again[0]


def test_batch_norm_in_the_head_needs_two_slices_of_a_batch(prepared) -> None:
    """Three slices in batches of two are batches of two and one."""
    recipe = load_recipe("quick", (*TINY, "head.batch_norm=true", "stages.0.batch_size=2"))
    parts = [Subset.from_split(prepared.split, prepared.store, name) for name in ("train", "val", "test")]
    three = Subset(parts[0].rows[:3], parts[0].labels[:3], parts[0].paths[:3])
    material = TrainingData(recipe, prepared.store, 4, three, *parts[1:])
    with pytest.raises(RecipeError, match=r"stage 1 has batches of 2, too few .* head\.batch_norm=false"):
        Batches(Fabric(accelerator="cpu", devices=1), material, 0)
    plain = replace(material, recipe=load_recipe("quick", (*TINY, "stages.0.batch_size=2")))
    assert Batches(Fabric(accelerator="cpu", devices=1), plain, 0).steps == 2
