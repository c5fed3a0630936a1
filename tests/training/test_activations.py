import numpy as np
import pytest
import torch
from torch import nn

from gliascope.training import activations
from gliascope.training.activations import MIRRORED, Activations, gather


def test_files_are_keyed_by_all_they_depend_on(prepared) -> None:
    recipe = prepared.recipe
    turned = recipe.model_copy(update={"augmentation": recipe.augmentation.model_copy(update={"rotate": 1})})
    reseeded = recipe.model_copy(update={"seed": 1})
    torch.manual_seed(0)
    folders = {
        Activations(prepared.store, prefix, cut, used, torch.device("cpu")).folder
        for prefix, cut, used in (
            (nn.Identity(), "backbone.conv_stem", recipe),
            (nn.Identity(), "backbone.bn1", recipe),
            (nn.Identity(), "backbone.conv_stem", turned),
            (nn.Identity(), "backbone.conv_stem", reseeded),
            (nn.Conv2d(3, 3, 1), "backbone.conv_stem", recipe),
            (nn.Conv2d(3, 3, 1), "backbone.conv_stem", recipe),
        )
    }
    assert len(folders) == 6


def test_a_view_is_the_frozen_part_of_the_augmented_slice_to_fp16(prepared) -> None:
    rows = np.arange(8)
    made = Activations(prepared.store, nn.Identity(), "", prepared.recipe, torch.device("cpu"))
    plain, turned = (made.view(view, rows) for view in (0, 1))
    expected = (prepared.store.pixels[rows] / 255 - 0.498) / 0.502
    assert np.abs(plain[rows] - expected[:, None]).max() < 1e-3
    assert np.abs(turned[rows] - plain[rows]).mean() > 0.05
    mirrored = made.view(MIRRORED, rows)
    assert np.array_equal(mirrored[rows], plain[rows][..., ::-1])
    batch = gather([plain, turned], np.array([1, 0]), np.array([3, 2]))
    assert torch.equal(batch, torch.from_numpy(np.stack([turned[3], plain[2]])).float())


def test_what_was_computed_for_other_rows_is_found(prepared, monkeypatch) -> None:
    computed: list[int] = []
    original = Activations._images

    def images(self, view, rows):
        computed.extend(rows.tolist())
        return original(self, view, rows)

    monkeypatch.setattr(Activations, "_images", images)
    made = Activations(prepared.store, nn.Identity(), "", prepared.recipe, torch.device("cpu"))
    first = np.array(made.view(1, np.array([1, 4, 5]))[[1, 4, 5]])
    again = Activations(prepared.store, nn.Identity(), "", prepared.recipe, torch.device("cpu"))
    both = again.view(1, np.array([0, 1, 4, 5, 7]))
    assert computed == [1, 4, 5, 0, 7]
    assert np.array_equal(both[[1, 4, 5]], first)
    # A slice looks the same in whatever batch it is computed.
    whole = Activations(prepared.store, nn.Identity(), " ", prepared.recipe, torch.device("cpu"))
    assert np.array_equal(whole.view(1, np.arange(8))[[0, 1, 4, 5, 7]], both[[0, 1, 4, 5, 7]])


def test_large_sets_run_on_onnx_runtime_and_give_the_same_to_fp16(prepared, monkeypatch) -> None:
    rows = np.arange(8)
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.BatchNorm2d(4), nn.ReLU6(inplace=True)).eval()
    made = Activations(prepared.store, network, "a", prepared.recipe, torch.device("cpu"))
    plain = np.array(made.view(1, rows)[rows], np.float32)
    monkeypatch.setattr(activations, "EXPORTED", 16)
    exported = Activations(prepared.store, network, "b", prepared.recipe, torch.device("cpu"))
    assert exported._exported
    monkeypatch.setattr(exported, "prefix", lambda _: pytest.fail("torch was used"))
    fast = np.array(exported.view(1, rows)[rows], np.float32)
    assert np.abs(plain - fast).max() <= 2**-10 * np.abs(plain).max()
