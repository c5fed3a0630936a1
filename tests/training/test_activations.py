import numpy as np
import torch
from torch import nn

from gliascope.training.activations import Activations, gather


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
    assert np.abs(plain - expected[:, None]).max() < 1e-3
    assert np.abs(turned - plain).mean() > 0.05
    # One slice alone, or in another order, looks the same.
    assert np.array_equal(made.view(1, rows[5:6])[0], turned[5])
    batch = gather([plain, turned], np.array([1, 0]), np.array([3, 2]))
    assert torch.equal(batch, torch.from_numpy(np.stack([turned[3], plain[2]])).float())
