import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from heads import bordered, drawn_head
from PIL import Image

from gliascope.errors import GliascopeError, ReadError
from gliascope.inference import predict_files as job
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.inference.overlay import draw_overlay
from gliascope.inference.predict import Predictor, predict
from gliascope.inference.predict_files import predict_files
from gliascope.preprocessing.preprocess import preprocess, visible_box
from gliascope.uncertainty.calibrator import SubspaceInfo
from gliascope.uncertainty.conformal import conformal_quantile

Make = Callable[..., Path]


def test_a_finding_is_what_the_engine_says_of_the_preprocessed_pixels(
    bundle: Bundle, make_source: Make
) -> None:
    file = make_source({"yes": 1, "no": 1}) / "yes" / "000.png"
    (finding,) = predict_files(bundle, [file]).findings
    pixels = preprocess(np.asarray(Image.open(file)), bundle.info.preprocessing)
    expected = Engine(bundle)(pixels[None]).probabilities[0]
    assert list(finding.probabilities) == list(bundle.info.classes)
    assert np.abs(np.array(list(finding.probabilities.values())) - expected).max() < 1e-6
    assert finding.label == bundle.info.classes[expected.argmax()]
    assert (finding.slice, finding.study, finding.verdict) == (0, None, "unchecked")


def test_overlays_are_not_written_where_slices_are_read(bundle: Bundle, make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    with pytest.raises(GliascopeError, match="overlays would be predicted"):
        predict_files(bundle, [source], overlay_folder=source / "overlays")
    assert not (source / "overlays").exists()


def test_findings_are_not_written_over_a_folder(
    bundle: Bundle, make_source: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was told after all slices were predicted, of a temporary file."""
    monkeypatch.setattr(job, "resumable_map", lambda *_: pytest.fail("slices were predicted"))
    (tmp_path / "out").mkdir()
    with pytest.raises(GliascopeError, match="out: is a folder; name a file"):
        predict_files(bundle, [make_source({"glioma": 1})], tmp_path / "out")


def test_folders_are_searched_bad_files_set_aside_and_the_rest_goes_on(
    bundle: Bundle, make_source: Make
) -> None:
    source = make_source({"yes": 20, "no": 20})
    (source / "yes" / "bad.png").write_bytes(b"bad")
    (source / ".hidden.png").write_bytes(b"bad")
    job = predict_files(bundle, [source])
    assert [finding.file.name for finding in job.findings] == [f"{n:03d}.png" for n in range(20)] * 2
    assert [error.path.name for error in job.unreadable] == ["bad.png"]


def test_json_lines_have_the_stated_keys(bundle: Bundle, make_source: Make, tmp_path: Path) -> None:
    job = predict_files(bundle, [make_source({"yes": 2, "no": 1})], tmp_path / "f.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert len(lines) == len(job.findings) == 3
    keys = "file slice study label probabilities prediction_set outlier_score verdict notes kind"
    assert " ".join(lines[0]) == keys
    assert lines[0]["prediction_set"] is None
    assert lines[0]["outlier_score"] is None


def test_a_volume_gets_a_line_for_each_slice_and_one_for_the_study(bundle: Bundle, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(100, 20, (20, 22, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    findings = predict_files(bundle, [tmp_path / "v.nii.gz"]).findings
    assert [finding.slice for finding in findings] == [0, 1, 2, 3, 4, None]
    slices = np.array([list(finding.probabilities.values()) for finding in findings])
    most = slices[:-1][:, bundle.info.classes.index("no_tumor")].argmin()  # of five slices, a tenth is one
    assert np.allclose(slices[-1], slices[most])
    assert len({finding.study for finding in findings}) == 1


def test_overlays_are_saved_for_files_of_one_name_too(
    bundle: Bundle, make_source: Make, tmp_path: Path
) -> None:
    predict_files(bundle, [make_source({"yes": 1, "no": 1})], overlay_folder=tmp_path / "overlays")
    images = [Image.open(path) for path in (tmp_path / "overlays").iterdir()]
    assert [image.size for image in images] == [(48, 48)] * 2


def test_nothing_to_predict_is_an_error(bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(GliascopeError, match="not found"):
        predict_files(bundle, [tmp_path / "nowhere"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(GliascopeError, match="no files found"):
        predict_files(bundle, [tmp_path / "empty"])
    for name in ("a.png", "b.png"):
        (tmp_path / "empty" / name).write_bytes(b"")
    with pytest.raises(ReadError, match=r"a\.png"):
        predict_files(bundle, [tmp_path / "empty" / "a.png"])
    out = tmp_path / "f.jsonl"
    with pytest.raises(GliascopeError, match="none of 2 files"):
        predict_files(bundle, [tmp_path / "empty"], out)
    assert not out.exists()


def test_overlays_of_cropped_and_padded_slices_lie_where_the_model_looked(
    bundle: Bundle, tmp_path: Path
) -> None:
    wanted = bundle.info.preprocessing.model_copy(update={"crop": "head", "fit": "pad", "standardise": True})
    cropping = replace(bundle, info=bundle.info.model_copy(update={"preprocessing": wanted}))
    pixels = bordered(drawn_head(), 0, 0, 0, 300)
    Image.fromarray(pixels).save(tmp_path / "slice.png")
    (finding,) = predict(Predictor.load(cropping), [tmp_path / "slice.png"], pytest.fail)
    predict_files(cropping, [tmp_path / "slice.png"], overlay_folder=tmp_path / "overlays")
    expected = Engine(bundle)(preprocess(pixels, wanted)[None]).probabilities[0]
    assert list(finding.probabilities.values()) == pytest.approx(expected.tolist(), abs=1e-6)
    (path,) = (tmp_path / "overlays").iterdir()
    assert finding.map is not None
    assert np.array_equal(
        np.asarray(Image.open(path)), draw_overlay(pixels, finding.map, visible_box(pixels, wanted))
    )
    tint = np.ptp(np.asarray(Image.open(path)).astype(int), axis=2)
    top, bottom, left, right = visible_box(pixels, wanted)
    assert tint.any()
    tint[max(top, 0) : bottom, max(left, 0) : right] = 0
    assert not tint.any()


@pytest.mark.parametrize("box", [(10, 50, 20, 60), (-20, 60, -10, 70), (-30, 30, 20, 80)])
def test_an_overlay_tints_within_the_box_of_the_map(box: tuple[int, int, int, int]) -> None:
    """The lower left quarter of the map, where it lies in the slice."""
    activation = np.zeros((16, 16), dtype=np.float32)
    activation[8:, :8] = 1
    image = np.asarray(draw_overlay(np.full((64, 64), 100, dtype=np.uint8), activation, box)).astype(int)
    top, bottom, left, right = box
    y, x = np.mgrid[:64, :64] + 0.5
    middle, centre = (top + bottom) / 2, (left + right) / 2
    blur = (bottom - top) / 16 * 1.5
    inside = (y > middle + blur) & (y < bottom) & (x > left) & (x < centre - blur)
    outside = (y < middle - blur) | (y > bottom) | (x < left) | (x > centre + blur)
    tint = image[:, :, 0] - image[:, :, 2]
    assert inside.sum() > 100
    assert (tint[inside] > 80).all()
    assert (image[outside] == 100).all()


def test_a_calibrator_calibrates_and_gives_sets_scores_and_verdicts(
    calibrated: Bundle, bundle: Bundle, make_source: Make, tmp_path: Path
) -> None:
    source = make_source({"yes": 2, "no": 1})
    told = predict_files(calibrated, [source], tmp_path / "f.jsonl").findings
    plain = predict_files(bundle, [source]).findings
    calibrator = calibrated.calibrator
    assert calibrator is not None
    quantile = conformal_quantile(calibrator.nonconformity, calibrator.level)
    for finding, before in zip(told, plain, strict=True):
        assert finding.label == before.label
        squared = np.array(list(before.probabilities.values())) ** 2  # a temperature of a half
        assert list(finding.probabilities.values()) == pytest.approx(
            (squared / squared.sum()).tolist(), abs=1e-5
        )
        within = [name for name, value in finding.probabilities.items() if 1 - value <= quantile]
        assert finding.prediction_set == tuple(within)
        assert finding.verdict == ("accepted" if len(within) == 1 else "uncertain")
        assert finding.outlier_score is not None and 0 < finding.outlier_score < 1
    lines = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    assert [tuple(line["prediction_set"]) for line in lines] == [finding.prediction_set for finding in told]
    assert lines[0]["outlier_score"] == pytest.approx(told[0].outlier_score, abs=1e-4)


def test_a_study_is_out_of_scope_where_most_of_its_slices_are(calibrated: Bundle, tmp_path: Path) -> None:
    volume = np.random.default_rng(0).normal(100, 20, (20, 22, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")
    *slices, study = predict_files(calibrated, [tmp_path / "v.nii.gz"]).findings
    scores = np.array([finding.outlier_score for finding in slices])
    assert study.outlier_score == pytest.approx(np.median(scores))
    assert study.verdict != "out of scope"
    info = calibrated.info.calibrator
    assert info is not None
    for share, verdict in ((0.999, "out of scope"), (1.001, study.verdict)):
        scale = info.ood["network"].scale * np.median(scores) * share
        ood = {name: SubspaceInfo(noise=1.0, scale=scale) for name in info.ood}
        nearer = info.model_copy(update={"ood": ood})
        strict = replace(calibrated, info=calibrated.info.model_copy(update={"calibrator": nearer}))
        assert predict_files(strict, [tmp_path / "v.nii.gz"]).findings[-1].verdict == verdict


def test_an_overlay_tints_where_the_map_is_high() -> None:
    activation = np.zeros((4, 4), dtype=np.float32)
    activation[0, 0] = 5
    activation[3, 3] = -5
    image = np.asarray(
        draw_overlay(np.full((64, 64), 100, dtype=np.uint8), activation, (0, 64, 0, 64))
    ).astype(int)
    assert image[4, 4, 0] - image[4, 4, 2] > 80
    assert (image[60, 60] == 100).all()
    flat = np.asarray(
        draw_overlay(np.full((8, 8), 100, dtype=np.uint8), np.zeros((2, 2), dtype=np.float32), (0, 8, 0, 8))
    )
    assert (flat == 100).all()


@pytest.mark.parametrize("name", ["x" * 234 + ".png", "ö" * 125 + ".png", "a:b?.png"])
def test_overlays_and_findings_of_long_and_odd_names_are_written(
    bundle: Bundle, tmp_path: Path, name: str
) -> None:
    (tmp_path / "in").mkdir()
    Image.fromarray(np.eye(48, dtype=np.uint8) * 200).save(tmp_path / "in" / name, format="png")
    out = tmp_path / ("f" * 240 + ".jsonl")
    predict_files(bundle, [tmp_path / "in"], out, overlay_folder=tmp_path / "overlays")
    assert json.loads(out.read_text())["file"].endswith(name)
    (overlay_file,) = (tmp_path / "overlays").iterdir()
    assert len(overlay_file.name.encode()) <= 255
    assert not set(overlay_file.name) & set(':?"')
    assert overlay_file.suffix == ".png"
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".")) == []
