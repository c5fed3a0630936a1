"""What a notebook shows of a finding: its verdict first."""

import re
from pathlib import Path

import numpy as np
import pytest
import walkthrough
from doors import HEAD
from PIL import Image
from quadrants import quadrant_bundle
from tiny import slice_image

import gliascope
from gliascope import Finding, Model


def picture_of(verdict: str) -> np.ndarray:
    if verdict == "out of scope":
        return np.random.default_rng(0).integers(240, 250, (48, 48), dtype=np.uint8)
    pixels = np.asarray(slice_image(0, 1)).copy()
    if verdict == "uncertain":
        pixels = np.maximum(pixels, np.asarray(slice_image(1, 1)))
    return pixels


@pytest.mark.parametrize(
    ("verdict", "headline", "line"),
    [
        ("accepted", "Accepted: glioma", r"<Finding accepted: glioma 9\d\.\d %; <array>>"),
        ("uncertain", "Uncertain: glioma or meningioma", r"<Finding uncertain: glioma or meningioma, likeliest \w+ \d\d"),
        ("out of scope", "Out of scope", r"<Finding out of scope: unlike the training slices \(outlier"),
        ("unchecked", "Unchecked", r"<Finding unchecked, likeliest glioma 9"),
    ],
)  # fmt: skip
def test_a_finding_shows_its_verdict_first(verdict: str, headline: str, line: str) -> None:
    model = Model(quadrant_bundle(plain=verdict == "unchecked"))
    finding = model.predict(picture_of(verdict))
    assert finding.verdict == verdict
    assert re.match(line, repr(finding))
    html = finding._repr_html_()
    first = re.search(r"font-weight:bold\">(.*?)</div>", html)
    assert first is not None
    assert first[1] == headline
    assert html.index(first[0]) < html.index("<img") < html.index("<table")
    assert html.count("<tr") == 4
    assert gliascope.RESEARCH_USE in html
    assert "<script" not in html and "http" not in html
    assert ("tinted where it supports" in html) == (verdict in ("accepted", "uncertain"))


def test_what_a_notebook_shows_is_escaped(tmp_path: Path) -> None:
    model = Model(quadrant_bundle())
    Image.fromarray(HEAD).save(tmp_path / "<img onerror=x>.png")
    assert "<img onerror" not in model.predict(tmp_path / "<img onerror=x>.png")._repr_html_()


def test_a_study_shows_its_verdict_and_slices(tmp_path: Path) -> None:
    folder = walkthrough.write(tmp_path)
    study = gliascope.load(folder / "results").predict_study(folder / "study")
    html = study._repr_html_()
    assert re.match(r"<StudyFinding unchecked, likeliest glioma .* 4 slices of ", repr(study))
    assert ">Unchecked</div>" in html
    assert "nothing was calibrated on studies" in html
    assert "4 slices: 4 accepted" in html
    assert html.count("<img") == 4
    assert html.index("slice 0: accepted: glioma") > 0
    assert "".join(study.to_json().split())
    assert all(isinstance(one, Finding) for one in study.slices)
