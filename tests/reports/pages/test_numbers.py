"""Operating points, curves and studies on the report's page."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from html_page import Page, check_page
from reported import make_report, protocol_report

from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.operating import operating_points
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies
from gliascope.reports.pages.discrimination import precision_recall_curves, roc_curves
from gliascope.reports.pages.report import write_report
from gliascope.reports.report import ProtocolReport

CLASSES = ("glioma", "no_tumor", "pituitary")


def simulated(distance: float = 3.0, seed: int = 0) -> Scores:
    rng = np.random.default_rng(seed)
    labels = np.repeat(rng.integers(3, size=40), 5)
    logits = rng.normal(size=(200, 3)) + distance * np.eye(3)[labels]
    odds = np.exp(logits)
    return Scores(odds / odds.sum(axis=1, keepdims=True), labels, np.repeat(np.arange(40), 5), CLASSES)


def result(scores: Scores, validation: Scores | None) -> ProtocolReport:
    return protocol_report(
        scores,
        operating=operating_points(scores, validation, 50),
        curves=evaluate_curves(scores, 50),
        studies=evaluate_studies(scores, [f"study {group}" for group in scores.groups], resamples=50),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("numbers")
    protocols = {"official": result(simulated(), simulated(seed=1)), "folds": result(simulated(seed=2), None)}
    write_report(folder, make_report(protocols, external=True))
    return folder


def test_the_page_shows_them_in_words_tables_and_figures(folder: Path) -> None:
    html = (folder / "report.html").read_text(encoding="utf-8")
    page = check_page(html)
    for words in (
        "Tumour or none",
        "Sensitivity at specificity 95.0",
        "Thresholds chosen on validation slices",
        "Average precision",
        "Of the test slices, 200 are of 40 known studies",
        "half of the studies have 5 slices or more",
        "top tenth (as predicted)",
        "picked for their tumour",
        "This model was trained elsewhere",
    ):
        assert words.lower() in page.text.lower(), words
    named = [
        attributes.get("aria-label") or "" for _, attributes in page.tags if attributes.get("role") == "img"
    ]
    assert sum("Receiver operating" in name or "Precision-recall" in name for name in named) == 2


def test_the_same_numbers_are_in_the_json(folder: Path) -> None:
    found = json.loads((folder / "report.json").read_text())
    assert found["external"] is True
    official, folds = found["protocols"]["official"], found["protocols"]["folds"]
    assert official["operating"]["specificity"]["chosen"]["sensitivity"].keys() == {"value", "low", "high"}
    assert folds["operating"]["specificity"]["chosen"] is None
    assert set(official["curves"]) == set(CLASSES)
    assert official["studies"]["methods"]["mean"]["tumor"]["auroc"]["value"] <= 1


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    scores = simulated()
    write_report(tmp_path, make_report({"official": protocol_report(scores)}))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    for words in ("Tumour or none", "Whole studies", "Precision against recall", "trained elsewhere"):
        assert words not in text, words


@pytest.mark.parametrize(("distance", "insets"), [(6.0, 3), (0.3, 0)])
def test_good_curves_have_their_corner_drawn_again(distance: float, insets: int) -> None:
    scores = simulated(distance)
    curves = evaluate_curves(scores, 50)
    for drawing in (roc_curves(curves, evaluate_scores(scores, 50)), precision_recall_curves(curves)):
        svg = drawing.__html__()
        assert svg.count("var(--paper)") == insets
        assert not re.search(r"#[0-9a-fA-F]{6}", svg)
