import numpy as np
import torch
from lightning.fabric import Fabric
from torch import nn

from gliascope.training.activations import Activations, CachedActivations
from gliascope.training.frozen_backbone import MIN_IMAGES_TO_EXPORT, FrozenBackbone
from gliascope.training.inputs import OnTheFlyInputs, load_batch

CPU = torch.device("cpu")


def make(prepared, prefix: nn.Module, cut: str, recipe=None) -> Activations:
    inputs = OnTheFlyInputs(
        prepared.store, recipe or prepared.recipe, frozen_backbone=FrozenBackbone(prefix, CPU, 0), device=CPU
    )
    return Activations(inputs, cut, Fabric(accelerator="cpu", devices=1))


def test_files_are_keyed_by_all_they_depend_on(prepared) -> None:
    recipe = prepared.recipe
    turned = recipe.model_copy(update={"augmentation": recipe.augmentation.model_copy(update={"rotate": 1})})
    reseeded = recipe.model_copy(update={"seed": 1})
    other_mean = recipe.preprocessing.model_copy(update={"mean": (0.0, 0.0, 0.0)})
    torch.manual_seed(0)
    folders = {
        make(prepared, prefix, cut, used).folder
        for prefix, cut, used in (
            (nn.Identity(), "backbone.conv_stem", recipe),
            (nn.Identity(), "backbone.bn1", recipe),
            (nn.Identity(), "backbone.conv_stem", turned),
            (nn.Identity(), "backbone.conv_stem", reseeded),
            (nn.Identity(), "backbone.conv_stem", recipe.model_copy(update={"preprocessing": other_mean})),
            (nn.Conv2d(3, 3, 1), "backbone.conv_stem", recipe),
            (nn.Conv2d(3, 3, 1), "backbone.conv_stem", recipe),
        )
    }
    assert len(folders) == 7


def test_rows_of_one_engine_are_never_mixed_with_those_of_another(prepared) -> None:
    """ONNX Runtime and torch round differently: what is found must not depend on who filled the cache."""
    network = nn.Conv2d(3, 3, 1)
    few, many, in_bf16 = (
        OnTheFlyInputs(
            prepared.store,
            prepared.recipe,
            frozen_backbone=FrozenBackbone(network, CPU, images, precision),
            device=CPU,
        )
        for images, precision in ((0, "auto"), (MIN_IMAGES_TO_EXPORT, "auto"), (0, "bf16"))
    )
    fabric = Fabric(accelerator="cpu", devices=1)
    assert not few.frozen_backbone.uses_onnxruntime and many.frozen_backbone.uses_onnxruntime
    folders = [Activations(inputs, "", fabric).folder for inputs in (few, many, in_bf16)]
    assert len(set(folders)) == 3


def test_a_view_is_the_frozen_part_of_the_augmented_slice_to_fp16(prepared) -> None:
    rows = np.arange(8)
    made = make(prepared, nn.Identity(), "")
    plain, turned = (made.view(view, rows) for view in (0, 1))
    expected = (prepared.store.pixels[rows] / 255 - 0.498) / 0.502
    assert np.abs(plain[rows] - expected[:, None]).max() < 1e-3
    assert np.abs(turned[rows] - plain[rows]).mean() > 0.05
    mirrored = made.view(-2, rows)
    assert np.array_equal(mirrored[rows], plain[rows][..., ::-1])
    cached = CachedActivations(made, (0, 1), rows)
    views, chosen = np.array([1, 0]), np.array([3, 2])
    assert torch.equal(
        load_batch(cached, views, chosen), torch.from_numpy(np.stack([turned[3], plain[2]])).float()
    )


def test_cached_and_fresh_views_are_the_same_to_fp16(prepared) -> None:
    torch.manual_seed(0)
    prefix = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU()).eval()
    rows, views = np.arange(8), np.arange(8) % 3
    cached = CachedActivations(make(prepared, prefix, ""), range(3), rows)
    fresh = OnTheFlyInputs(
        prepared.store, prepared.recipe, frozen_backbone=FrozenBackbone(prefix, CPU, 0), device=CPU
    )
    one, other = (load_batch(inputs, views, rows) for inputs in (cached, fresh))
    assert (one - other).abs().max() <= 2**-10 * other.abs().max()
    assert (one - other).abs().max() > 0


def test_what_was_computed_for_other_rows_is_found(prepared, monkeypatch) -> None:
    computed: list[int] = []
    original = Activations._batch

    def counted(self, view, rows):
        computed.extend(rows.tolist())
        return original(self, view, rows)

    monkeypatch.setattr(Activations, "_batch", counted)
    first = np.array(make(prepared, nn.Identity(), "").view(1, np.array([1, 4, 5]))[[1, 4, 5]])
    both = make(prepared, nn.Identity(), "").view(1, np.array([0, 1, 4, 5, 7]))
    assert computed == [1, 4, 5, 0, 7]
    assert np.array_equal(both[[1, 4, 5]], first)
    # A slice looks the same in whatever batch it is computed.
    whole = make(prepared, nn.Identity(), " ")
    assert np.array_equal(whole.view(1, np.arange(8))[[0, 1, 4, 5, 7]], both[[0, 1, 4, 5, 7]])
