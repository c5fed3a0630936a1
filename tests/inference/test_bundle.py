import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs


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
    with pytest.raises(BundleError, match=r"model\.onnx is damaged, or was changed"):
        Bundle.load(bundle_folder)


def test_other_formats_are_refused(bundle_folder: Path) -> None:
    file = bundle_folder / "bundle.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps(content | {"format": 99, "new_key": 1}))
    with pytest.raises(BundleError, match="expected bundle format 6 but got 99; a newer gliascope made it"):
        Bundle.load(bundle_folder)
    for damaged in ("{", "[]", "5", '{"format"}', "[" * 100_000):
        file.write_text(damaged)
        with pytest.raises(BundleError, match=r"bundle\.json is damaged; make the bundle again"):
            Bundle.load(bundle_folder)


def test_outputs_have_the_stated_shapes_for_any_batch(bundle: Bundle) -> None:
    engine = Engine(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (5, 64, 64), dtype=np.uint8)
    together = engine(pixels)
    assert together.logits.shape == (5, 4)
    assert together.ood_features["network"].shape == (5, 1280)
    assert together.maps is not None and together.maps.shape == (5, 4, 2, 2)
    assert np.allclose(together.probabilities.sum(axis=1), 1)
    alone = np.concatenate([engine(pixels[n : n + 1]).logits for n in range(5)])
    assert np.abs(alone - together.logits).max() < 1e-4


def test_outputs_keep_the_ood_features_of_each_slice(bundle: Bundle) -> None:
    outputs = Outputs.concatenate(
        [Engine(bundle)(np.full((1, 64, 64), level, dtype=np.uint8)) for level in (0, 255)]
    )
    assert np.allclose(outputs.select(np.array([1, 0])).ood_features["grey_levels"], np.eye(8)[[7, 0]])


def test_flip_averaging_makes_a_slice_and_its_mirror_image_equal(bundle: Bundle) -> None:
    engine = Engine(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    plain, mirrored = engine(pixels), engine(np.ascontiguousarray(pixels[:, :, ::-1]))
    assert np.abs(plain.logits - mirrored.logits).max() < 1e-4
    assert plain.maps is not None and mirrored.maps is not None
    assert np.abs(plain.maps - mirrored.maps[:, :, :, ::-1]).max() < 1e-3


def test_a_calibrator_travels_in_the_bundle(calibrated: Bundle, tmp_path: Path) -> None:
    calibrated.write(tmp_path / "calibrated")
    assert sorted(p.name for p in (tmp_path / "calibrated").iterdir()) == [
        "bundle.json",
        "calibrator.npz",
        "model.onnx",
    ]
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, "calibrated")
    for path in (tmp_path / "calibrated", Path(archive)):
        again = Bundle.load(path)
        assert again == calibrated
        assert again.calibrator is not None and calibrated.calibrator is not None
        assert again.calibrator.to_bytes() == calibrated.calibrator.to_bytes()
    assert (tmp_path / "calibrated" / "calibrator.npz").stat().st_size < 100_000


def test_a_damaged_or_missing_calibrator_is_named(calibrated: Bundle, tmp_path: Path) -> None:
    calibrated.write(tmp_path / "calibrated")
    file = tmp_path / "calibrated" / "calibrator.npz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"calibrator\.npz is damaged"):
        Bundle.load(tmp_path / "calibrated")
    file.unlink()
    with pytest.raises(BundleError, match=r"lacks calibrator\.npz"):
        Bundle.load(tmp_path / "calibrated")


def test_another_level_changes_nothing_but_the_level(calibrated: Bundle, bundle: Bundle) -> None:
    lower = calibrated.with_level(0.9)
    assert lower.info.calibrator is not None
    assert lower.info.calibrator.level == 0.9
    assert (lower.model, lower.arrays) == (calibrated.model, calibrated.arrays)
    with pytest.raises(BundleError, match="has no calibrator"):
        bundle.with_level(0.9)


def test_a_broken_graph_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        Engine(Bundle(bundle.info, b"junk"))
