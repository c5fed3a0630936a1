import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs, grey_levels, layout


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
    with pytest.raises(BundleError, match="expected bundle format 5 but got 99; a newer gliascope made it"):
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
    assert together.looks["features"].shape == (5, 1280)
    assert together.maps is not None and together.maps.shape == (5, 4, 2, 2)
    assert np.allclose(together.probabilities.sum(axis=1), 1)
    alone = np.concatenate([engine(pixels[n : n + 1]).logits for n in range(5)])
    assert np.abs(alone - together.logits).max() < 1e-4


def test_grey_levels_are_shares_of_the_pixels(bundle: Bundle) -> None:
    pixels = np.zeros((2, 4, 4), dtype=np.uint8)
    pixels[0, 0] = 255
    pixels[1, :2] = 40
    expected = np.zeros((2, 8))
    expected[0, [0, 7]] = 12, 4
    expected[1, [0, 1]] = 8, 8
    assert np.allclose(grey_levels(pixels) ** 2, expected / 16)
    assert np.allclose(grey_levels(np.repeat(pixels[..., None], 3, axis=3)), grey_levels(pixels))
    outputs = Outputs.join(
        [Engine(bundle)(np.full((1, 64, 64), level, dtype=np.uint8)) for level in (0, 255)]
    )
    assert np.allclose(outputs.at(np.array([1, 0])).looks["greys"], np.eye(8)[[7, 0]])


def test_layout_is_the_mean_grey_of_equal_boxes() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    boxes = pixels.reshape(2, 16, 4, 16, 4).mean(axis=(2, 4)).reshape(2, 256) / 255
    assert np.allclose(layout(pixels), boxes, atol=1 / 255)
    assert np.array_equal(layout(np.repeat(pixels[..., None], 3, axis=3)), layout(pixels))
    assert layout(pixels[:, :50, :50]).shape == (2, 256)


def test_flip_averaging_makes_a_slice_and_its_mirror_image_equal(bundle: Bundle) -> None:
    engine = Engine(bundle)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64), dtype=np.uint8)
    plain, mirrored = engine(pixels), engine(np.ascontiguousarray(pixels[:, :, ::-1]))
    assert np.abs(plain.logits - mirrored.logits).max() < 1e-4
    assert plain.maps is not None and mirrored.maps is not None
    assert np.abs(plain.maps - mirrored.maps[:, :, :, ::-1]).max() < 1e-3


def test_a_judge_travels_in_the_bundle(judged: Bundle, tmp_path: Path) -> None:
    judged.write(tmp_path / "judged")
    assert sorted(p.name for p in (tmp_path / "judged").iterdir()) == [
        "bundle.json",
        "judge.npz",
        "model.onnx",
    ]
    archive = shutil.make_archive(str(tmp_path / "archive"), "zip", tmp_path, "judged")
    for path in (tmp_path / "judged", Path(archive)):
        again = Bundle.load(path)
        assert again == judged
        assert again.judge is not None and judged.judge is not None
        assert again.judge.to_bytes() == judged.judge.to_bytes()
    assert (tmp_path / "judged" / "judge.npz").stat().st_size < 100_000


def test_a_damaged_or_missing_judge_is_named(judged: Bundle, tmp_path: Path) -> None:
    judged.write(tmp_path / "judged")
    file = tmp_path / "judged" / "judge.npz"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BundleError, match=r"judge\.npz is damaged"):
        Bundle.load(tmp_path / "judged")
    file.unlink()
    with pytest.raises(BundleError, match=r"lacks judge\.npz"):
        Bundle.load(tmp_path / "judged")


def test_another_level_changes_nothing_but_the_level(judged: Bundle, bundle: Bundle) -> None:
    lower = judged.at(0.9)
    assert lower.info.judge is not None
    assert lower.info.judge.level == 0.9
    assert (lower.model, lower.arrays) == (judged.model, judged.arrays)
    with pytest.raises(BundleError, match="has no judge"):
        bundle.at(0.9)


def test_a_broken_graph_is_named(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match=r"model\.onnx cannot be loaded"):
        Engine(Bundle(bundle.info, b"junk"))
