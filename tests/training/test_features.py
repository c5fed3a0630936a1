import numpy as np
import pytest
import torch

from gliascope.training import features as module
from gliascope.training.features import backbone_features


def test_features_are_mean_and_maximum_of_the_backbone_and_are_kept(
    prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = torch.device("cpu")
    rows = np.array([5, 0, 7])
    made = backbone_features(prepared.store, rows, prepared.recipe, device)
    assert made.shape == (3, 2560)
    assert made.dtype == np.float32
    assert (made[:, 1280:] >= made[:, :1280]).all()
    alone = backbone_features(prepared.store, rows[:1], prepared.recipe, device)
    np.testing.assert_allclose(alone[0], made[0], rtol=1e-3, atol=1e-3)

    backbone = module.pretrained_backbone(prepared.recipe.backbone, None).eval()
    pixels = torch.from_numpy(np.stack([prepared.store.pixels[5]] * 3)).float()[None]
    with torch.inference_mode():
        maps = backbone((pixels / 255 - 0.498) / 0.502)[0]
    np.testing.assert_allclose(maps.mean((1, 2)), made[0, :1280], rtol=1e-3, atol=1e-3)

    monkeypatch.setattr(module, "_compute", None)  # would fail if called
    np.testing.assert_array_equal(backbone_features(prepared.store, rows, prepared.recipe, device), made)
    with pytest.raises(TypeError):
        backbone_features(prepared.store, rows[::-1], prepared.recipe, device)
