import numpy as np
from lightning.fabric import Fabric

from gliascope.training.batches import Batches
from gliascope.training.material import Material, Part


def test_the_order_of_an_epoch_and_the_partners_of_mixup_are_drawn_apart(prepared) -> None:
    """Epoch n and step n of a stage took the same random numbers: partners followed from the order."""
    recipe = prepared.recipe.model_copy(update={"mixup": 1.0})
    parts = (Part.of(prepared.split, prepared.store, name) for name in ("train", "val", "test"))
    material = Material(recipe, prepared.store, 4, *parts)
    batches = Batches(Fabric(accelerator="cpu", devices=1), material, 0)
    rows = len(material.train.rows)
    for number in range(3):
        shared = np.random.default_rng([recipe.seed, 0, number])
        drawn, partners = batches.mixed_with(number, rows)
        as_the_order = shared.beta(1.0, 1.0)
        assert float(drawn) != np.float32(max(as_the_order, 1 - as_the_order))
        assert not np.array_equal(partners, shared.permutation(rows))
        again = batches.mixed_with(number, rows)
        assert np.array_equal(partners, again[1])
        assert drawn == again[0]
