"""A study's verdict: slices out of scope have no vote, and `accepted` is said of slices alone."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pydicom
import pytest
from fastapi.testclient import TestClient
from making import Make
from numpy.typing import NDArray
from quadrants import quadrant_bundle
from served import serving
from tiny import slice_image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.evaluation.aggregation import OOD_LIMIT
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies
from gliascope.inference.bundle import Bundle
from gliascope.inference.finding import Finding
from gliascope.inference.findings_table import read_findings
from gliascope.inference.predict import Predictor
from gliascope.inference.predict_files import predict_files
from gliascope.server.models import ModelSource

GLIOMA, MENINGIOMA, NO_TUMOR = 0, 1, 2


@pytest.fixture(scope="module")
def quadrants() -> Bundle:
    return quadrant_bundle()


def head(label: int, seed: int) -> NDArray[np.uint8]:
    return np.asarray(slice_image(label, seed))


def mosaic(seed: int) -> NDArray[np.uint8]:
    """Bright all over, as nothing that the bundle knows; a meningioma if it were asked."""
    pixels = np.random.default_rng(seed).integers(240, 250, (48, 48), dtype=np.uint8)
    pixels[:24, 24:] = 255
    return pixels


def study_of(folder: Path, *slices: NDArray[np.uint8]) -> Path:
    """A DICOM file a slice, each a series of its own."""
    folder.mkdir()
    make, study = Make(folder), pydicom.uid.generate_uid()
    for pixels in slices:
        series, instance = pydicom.uid.generate_uid(), pydicom.uid.generate_uid()
        make.dicom(pixels, StudyInstanceUID=study, SeriesInstanceUID=series, SOPInstanceUID=instance)
    return folder


def told(bundle: Bundle, folder: Path) -> tuple[list[Finding], Finding]:
    *slices, study = predict_files(bundle, [folder]).findings
    assert study.slice is None
    return slices, study


def test_slices_out_of_scope_have_no_vote(quadrants: Bundle, tmp_path: Path) -> None:
    clean = [head(NO_TUMOR, seed) for seed in range(6)]
    _, alone = told(quadrants, study_of(tmp_path / "alone", *clean))
    slices, study = told(quadrants, study_of(tmp_path / "mosaics", *clean, mosaic(0), mosaic(1)))
    assert [one.verdict for one in slices] == ["accepted"] * 6 + ["out of scope"] * 2
    assert [one.label for one in slices][-2:] == ["meningioma"] * 2
    assert (study.label, study.verdict) == (alone.label, "unchecked") == ("no_tumor", "unchecked")
    assert study.probabilities == pytest.approx(alone.probabilities)


@pytest.mark.parametrize(
    ("heads", "mosaics", "verdict"),
    [(2, 0, "unchecked"), (2, 2, "unchecked"), (2, 3, "out of scope"), (1, 1, "unchecked"), (0, 2, "out of scope")],
)  # fmt: skip
def test_a_study_is_out_of_scope_where_fewer_than_half_of_its_slices_are_in(
    quadrants: Bundle, tmp_path: Path, heads: int, mosaics: int, verdict: str
) -> None:
    slices = [head(GLIOMA, seed) for seed in range(heads)] + [mosaic(seed) for seed in range(mosaics)]
    found, study = told(quadrants, study_of(tmp_path / "study", *slices))
    assert [one.verdict for one in found] == ["accepted"] * heads + ["out of scope"] * mosaics
    assert study.verdict == verdict
    assert study.prediction_set is None
    assert study.outlier_score is not None
    assert (study.outlier_score > OOD_LIMIT) == (verdict == "out of scope")
    assert study.label == ("glioma" if heads else "meningioma")


def test_no_study_is_ever_accepted_or_uncertain(quadrants: Bundle) -> None:
    predictor = Predictor.load(quadrants)
    random = np.random.default_rng(0)
    seen = set()
    for count in range(1, 60):
        probabilities = random.dirichlet(np.full(4, 0.05), count).tolist()
        scores = random.uniform(0, 2, count).tolist()
        findings = [
            Finding(
                Path("v.nii"), number, "s", "", dict(zip(quadrants.info.classes, told, strict=True)), (), score, "accepted"
            )
            for number, (told, score) in enumerate(zip(probabilities, scores, strict=True))
        ]  # fmt: skip
        study = predictor.study_finding(findings)
        in_scope = sum(score <= OOD_LIMIT for score in scores)
        assert study.verdict == ("unchecked" if 2 * in_scope >= count else "out of scope")
        assert study.prediction_set is None
        seen.add(study.verdict)
    assert seen == {"unchecked", "out of scope"}


def test_a_study_without_a_calibrator_is_unchecked_and_all_slices_vote(tmp_path: Path) -> None:
    folder = study_of(tmp_path / "study", head(GLIOMA, 0), mosaic(0), mosaic(1))
    _, study = told(quadrant_bundle(plain=True), folder)
    assert (study.verdict, study.outlier_score, study.prediction_set) == ("unchecked", None, None)


def test_a_study_of_one_slice_has_that_slices_finding_alone(quadrants: Bundle, tmp_path: Path) -> None:
    (only,) = predict_files(quadrants, [study_of(tmp_path / "study", head(GLIOMA, 0))]).findings
    assert (only.slice, only.verdict) == (0, "accepted")


def test_every_door_says_the_same_of_a_study(quadrants: Bundle, tmp_path: Path) -> None:
    folder = study_of(tmp_path / "study", *(head(GLIOMA, seed) for seed in range(3)), mosaic(0), mosaic(1))
    _, expected = told(quadrants, folder)
    quadrants.write(tmp_path / "bundle")
    lines = tmp_path / "f.jsonl"
    arguments = ["predict", str(tmp_path / "bundle"), str(folder), "--out"]
    shown = CliRunner().invoke(app, [*arguments, str(lines)])
    assert shown.exit_code == 0, shown.output
    assert "nothing has been calibrated for studies" in " ".join(shown.output.split())
    assert CliRunner().invoke(app, [*arguments, str(tmp_path / "f.parquet")]).exit_code == 0
    (row,) = read_findings(tmp_path / "f.parquet").filter(pl.col("slice").is_null()).collect().to_dicts()
    with serving([ModelSource("quadrants", tmp_path / "bundle")]) as client:
        (answer,) = _ask(client, folder)["studies"]
    for said in (json.loads(lines.read_text().splitlines()[-1]), row, answer):
        assert (said["label"], said["verdict"], said["prediction_set"]) == ("glioma", "unchecked", None)
        assert said["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        assert said["outlier_score"] == pytest.approx(expected.outlier_score, abs=1e-4)


def test_the_report_scores_what_predict_says(quadrants: Bundle, tmp_path: Path) -> None:
    made = {
        "a": [*(head(NO_TUMOR, seed) for seed in range(3)), mosaic(0)],
        "b": [head(GLIOMA, 7), mosaic(1), mosaic(2)],
    }
    labels, names, slices, studies = [], [], [], []
    for name, pixels in made.items():
        found, study = told(quadrants, study_of(tmp_path / name, *pixels))
        slices += found
        studies.append(study)
        names += [name] * len(found)
        labels += [quadrants.info.classes.index("no_tumor" if name == "a" else "glioma")] * len(found)
    scores = Scores(
        np.array([list(one.probabilities.values()) for one in slices]),
        np.array(labels),
        np.array(names),
        quadrants.info.classes,
    )
    distances = np.array([one.outlier_score for one in slices], dtype=np.float64)
    report = evaluate_studies(scores, names, resamples=50, outlier_scores=distances)
    assert report is not None
    assert [study.label for study in studies] == ["no_tumor", "glioma"]
    assert report.methods["top tenth"].accuracy.value == 1
    assert report.out_of_scope == sum(study.verdict == "out of scope" for study in studies) == 1
    without = evaluate_studies(scores, names, resamples=50)
    assert without is not None
    assert without.out_of_scope is None
    assert without.methods["top tenth"].accuracy.value == 0.5


def test_the_table_names_no_class_for_a_study_out_of_scope(quadrants: Bundle, tmp_path: Path) -> None:
    folder = study_of(tmp_path / "study", head(GLIOMA, 0), *(mosaic(seed) for seed in range(4)))
    quadrants.write(tmp_path / "bundle")
    shown = CliRunner().invoke(
        app, ["predict", str(tmp_path / "bundle"), str(folder)], env={"COLUMNS": "200"}
    )
    (row,) = [line for line in shown.output.splitlines() if "│ study" in line]
    assert "out of scope" in row
    assert "meningioma" not in row and "glioma" not in row


def test_a_stricter_outlier_score_changes_the_verdict_and_not_the_class(
    quadrants: Bundle, tmp_path: Path
) -> None:
    """Of slices that were all in scope, none is any more: all vote again, and the study is out of scope."""
    folder = study_of(tmp_path / "study", *(head(GLIOMA, seed) for seed in range(3)))
    info = quadrants.info.calibrator
    assert info is not None
    ood = {name: one.model_copy(update={"scale": one.scale / 1e6}) for name, one in info.ood.items()}
    strict = replace(
        quadrants,
        info=quadrants.info.model_copy(update={"calibrator": info.model_copy(update={"ood": ood})}),
    )
    _, before = told(quadrants, folder)
    _, after = told(strict, folder)
    assert (before.verdict, after.verdict) == ("unchecked", "out of scope")
    assert before.probabilities == after.probabilities


def _ask(client: TestClient, folder: Path) -> dict[str, list[dict[str, object]]]:
    files = [("files", (path.name, path.read_bytes())) for path in sorted(folder.iterdir())]
    answer = client.post("/v1/predict", files=files)
    assert answer.status_code == 200, answer.text
    found: dict[str, list[dict[str, object]]] = answer.json()
    return found
