import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine


def test_folder_and_zip_hold_the_same_bundle(bundle: Bundle, bundle_folder: Path, tmp_path: Path) -> None:
    assert sorted(p.name for p in bundle_folder.iterdir()) == ["MODEL_CARD.md", "bundle.json", "model.onnx"]
    assert Bundle.load(bundle_folder) == bundle
    around = shutil.make_archive(str(tmp_path / "around"), "zip", tmp_path, "bundle")
    content = shutil.make_archive(str(tmp_path / "content"), "zip", bundle_folder)
    assert Bundle.load(Path(around)) == Bundle.load(Path(content)) == bundle


def test_what_is_no_bundle_is_named(bundle_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="nowhere: not a bundle"):
        Bundle.load(tmp_path / "nowhere")
    (tmp_path / "text.zip").write_text("text")
    with pytest.raises(BundleError, match=r"text\.zip: not a bundle"):
        Bundle.load(tmp_path / "text.zip")
    model = bundle_folder / "model.onnx"
    model.write_bytes(model.read_bytes()[:-100])
    with pytest.raises(BundleError, match=r"model\.onnx is damaged"):
        Bundle.load(bundle_folder)


def test_other_formats_are_refused(bundle_folder: Path) -> None:
    file = bundle_folder / "bundle.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format": 99, "new_key": 1}))
    with pytest.raises(BundleError, match="expected bundle format 2 but got 99"):
        Bundle.load(bundle_folder)
    file.write_text(json.dumps(content | {"surprise": 1}))
    with pytest.raises(BundleError, match=r"bundle\.json is damaged .*surprise"):
        Bundle.load(bundle_folder)


def test_bundles_from_before_crop_fit_and_standardise_load_unchanged(
    bundle: Bundle, bundle_folder: Path
) -> None:
    file = bundle_folder / "bundle.json"
    content = json.loads(file.read_text())
    for key in ("crop", "fit", "standardise", "centre"):
        del content["preprocessing"][key]
    file.write_text(json.dumps(content))
    assert Bundle.load(bundle_folder) == bundle


def test_outputs_have_the_stated_shapes_for_any_batch(bundle: Bundle) -> None:
    engine = Engine(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    together = engine(pixels)
    assert together.logits.shape == (5, 4)
    assert together.features.shape == (5, 1280)
    assert together.maps is not None and together.maps.shape == (5, 4, 2, 2)
    assert np.allclose(together.probabilities.sum(axis=1), 1)
    alone = np.concatenate([engine(pixels[n : n + 1]).logits for n in range(5)])
    assert np.abs(alone - together.logits).max() < 1e-4


def test_flip_averaging_makes_a_slice_and_its_mirror_image_equal(bundle: Bundle) -> None:
    engine = Engine(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    plain, mirrored = engine(pixels), engine(np.ascontiguousarray(pixels[:, :, ::-1]))
    assert np.abs(plain.logits - mirrored.logits).max() < 1e-4
    assert plain.maps is not None and mirrored.maps is not None
    assert np.abs(plain.maps - mirrored.maps[:, :, :, ::-1]).max() < 1e-3


def test_a_broken_graph_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        Engine(Bundle(bundle.info, b"junk"))
