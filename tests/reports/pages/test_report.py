import io
import json
import re
from typing import Any

import numpy as np
import pytest
from html_page import Page, check_page
from PIL import Image
from reported import RUN, TRAINED, epoch, make_report, protocol_report

from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.metrics import Scores, confident_mistakes
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.verdicts import evaluate_verdicts, outlier_histogram
from gliascope.reports.pages.report import MistakePicture, write_report
from gliascope.reports.report import ClassCounts, Mistake, ProtocolReport, Report, find_leak
from gliascope.reports.uncertainty import Calibration, PredictionSets, SetsAtLevel, Uncalibrated, Verdicts

CLASSES = ("glioma", "notumor", "pituitary")
NOTICE = "Research use only. Not a medical device; never a diagnosis."
HOSTILE = '<script>alert("x")</script> & "quoted".jpg'


def protocol(n=240, classes=CLASSES, seed=0) -> tuple[ProtocolReport, Scores]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(len(classes), size=n)
    logits = rng.normal(size=(n, len(classes)))
    logits[np.arange(n), labels] += 2.5
    odds = np.exp(logits)
    scores = Scores(odds / odds.sum(axis=1, keepdims=True), labels, np.arange(n) // 2, classes)
    return protocol_report(scores, f"Test number {seed}.", **trust(scores)), scores


def trust(scores: Scores) -> dict:
    """What `pipeline.trust` gives, of a temperature of 0.5 and sets of what has a tenth of the probability."""
    softer = np.sqrt(scores.probabilities)
    before = Scores(softer / softer.sum(axis=1, keepdims=True), scores.labels, scores.groups, scores.classes)
    raw = Uncalibrated(**dict(evaluate_calibration(before, 50)), reliability=tuple(reliability(before)))
    found = evaluate_sets(scores, scores.probabilities >= 0.1, 50)
    given = ["out of scope", *np.where(scores.confidences > 0.8, "accepted", "uncertain")[1:]]
    distances = np.random.default_rng(0).lognormal(-0.3, 0.2, len(scores))
    return {
        "calibration": Calibration(**dict(evaluate_calibration(scores, 50)), temperatures=(0.5,), before=raw),
        "sets": PredictionSets(
            method="lac",
            level=0.95,
            groups=(300,),
            needed=19,
            bounds=(0.91, 0.98),
            methods={"lac": found},
            curve=tuple(
                SetsAtLevel(level=level, coverage=found.coverage, size=found.size) for level in (0.9, 0.95)
            ),
        ),
        "verdicts": Verdicts(
            by_verdict=evaluate_verdicts(
                scores, given, ("accepted", "uncertain", "out of scope"), resamples=50
            ),
            outlier_scores=outlier_histogram(distances),
        ),
    }


def changed(report: Report, **changes: Any) -> Report:
    return report.model_copy(update=changes)


def picture(kind="JPEG") -> bytes:
    file = io.BytesIO()
    Image.new("L", (24, 20), 90).save(file, kind)
    return file.getvalue()


PICTURES = [MistakePicture(picture(), picture("PNG")), MistakePicture(picture())]
CURVES = tuple(
    epoch(number, stage=number // 2, lr=1e-3 / number, val_loss=1.1 / number, val_accuracy=1 - 0.3 / number)
    for number in (1, 2, 3)
)


@pytest.fixture(scope="module")
def report() -> Report:
    official, scores = protocol()
    clean, _ = protocol(seed=1)
    mistakes = [
        Mistake(
            file=HOSTILE if place == 0 else "set/Testing/b.png",
            label=CLASSES[scores.labels[index]],
            predicted=CLASSES[scores.predictions[index]],
            probability=float(scores.confidences[index]),
        )
        for place, index in enumerate(confident_mistakes(scores, 2))
    ]
    return make_report(
        {"official": official, "official-clean": clean},
        title="Tumours & <b>co</b>",
        created="2026-11-03T14:05:22+00:00",
        sources=(ClassCounts.of("set", {"glioma": 100, "notumor": 1200, "pituitary": 90}),),
        subsets=(
            ClassCounts.of("train", {"glioma": 60, "notumor": 700}, 512),
            ClassCounts.of("test", {"glioma": 40}, 33),
        ),
        curves=CURVES,
        chosen_epoch=2,
        mistakes=tuple(mistakes),
        unreadable={"truncated": 3, "not an image": 1},
        recipe="name: quick\nseed: 0  # </pre><script>\n",
        run=RUN,
        model=TRAINED,
    )


@pytest.fixture(scope="module")
def folder(report, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write_report(folder, report, PICTURES)
    return folder


@pytest.fixture(scope="module")
def html(folder) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_both_files_and_nothing_else_are_written(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json"]


def test_json_has_the_stated_keys(folder, report):
    data = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert set(data) == {
        *(
            "title",
            "notice",
            "created",
            "gliascope",
            "protocols",
            "sources",
            "subsets",
            "unreadable",
            "curves",
        ),
        *("chosen_epoch", "leak", "mistakes", "recipe", "run", "model", "audit", "decisions", "external"),
        *("overlaps", "origins"),
    }
    official = data["protocols"]["official"]
    assert official["n"] == 240
    assert set(official["accuracy"]) == {"value", "low", "high"}
    assert official["balanced_accuracy"] == report.protocols["official"].balanced_accuracy.model_dump()
    assert set(official["per_class"]) == set(CLASSES)
    assert np.sum(official["confusion"]) == 240
    assert len(official["reliability"]) == 15
    assert official["calibration"]["before"]["nll"]["value"] > official["calibration"]["nll"]["value"]
    assert official["sets"]["methods"]["lac"]["size"]["value"] > 1
    assert sum(entry["n"] for entry in official["verdicts"]["by_verdict"].values()) == 240
    assert official["description"] == "Test number 0."
    assert set(data["mistakes"][0]) == {"file", "label", "predicted", "probability"}
    assert data["mistakes"][0]["file"] == HOSTILE
    assert data["notice"] == NOTICE
    assert data["model"]["parameters"] == 3_376_164
    slices = {"glioma": 60, "notumor": 700}
    assert data["subsets"][0] == {"name": "train", "slices": slices, "total": 760, "groups": 512}


def test_the_page_says_it_in_plain_words(html, report):
    text = Page(html).text
    assert "On 240 test slices the model is right on" in text
    assert text.count(NOTICE) == 2
    assert text.index(NOTICE) < text.index("On 240 test slices")
    for words in (
        "Protocol official : Test number 0.",
        "form 120 independent groups",
        "3 November 2026, 14:05 UTC",
        "official-clean",
        "Files that could not be used: 4",
        "1,200",
        "3,376,164",
        "2 (chosen)",
        "it was too modest",
        "Its logits are divided by 0.50",
        "At a level of 95.0",
        "With 300 groups to calibrate on and 120 to test on, theory allows 91.0 to 98.0",
        "for another scanner, hospital or way to pick slices, it does not hold",
        "The rest it leaves to a person",
    ):
        assert words in text, words


def test_hostile_text_stays_text(html):
    page = Page(html)
    assert HOSTILE in page.text
    assert "Tumours & <b>co</b>" in page.text
    assert "seed: 0 # </pre><script>" in page.text


def test_it_fetches_nothing_and_is_accessible(html):
    page = check_page(html)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    figures = [attributes for tag, attributes in page.tags if attributes.get("role") == "img"]
    assert len(images) == 3
    assert len(figures) == 6


def test_figures_follow_the_colours_of_the_page(html):
    svgs = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    for svg in svgs:
        assert "currentColor" in svg
        assert "var(--accent)" in svg
        assert "<text" in svg
        assert not re.search(r"#[0-9a-fA-F]{6}|<metadata|font-family", svg)


def test_the_same_input_gives_the_same_bytes(folder, report, tmp_path):
    import matplotlib

    with matplotlib.rc_context({"axes.facecolor": "red", "font.size": 30}):  # a user's own settings
        write_report(tmp_path, report, PICTURES)
    for name in ("report.html", "report.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_classes_are_explained_where_they_are_known(html, tmp_path):
    text = Page(html).text
    assert "What the classes are" in text
    assert "A tumour of the pituitary gland" in text
    assert "no medical advice" in text
    result, _ = protocol(n=30, classes=("no", "yes"))
    write_report(tmp_path, make_report({"grouped": result}))
    assert "What the classes are" not in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_watched_test_set_is_called_a_leak(html, report, tmp_path):
    assert "LEAK" not in html
    watched = tuple(
        row.model_copy(update={"test_accuracy": value})
        for row, value in zip(report.curves, (0.7, 0.8, 0.9), strict=True)
    )
    write_report(tmp_path, changed(report, curves=watched, leak=find_leak(watched, 2)), PICTURES)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert "Chosen on the test set: 90.0 % at epoch 3 (LEAK); chosen on validation: 80.0 % at epoch 2" in text
    assert "Test accuracy, % (LEAK)" in text
    assert json.loads((tmp_path / "report.json").read_text())["leak"]["accuracy"] == 0.9


def test_optional_parts_can_be_left_out(tmp_path):
    result, _ = protocol(n=30, classes=("no", "yes"))
    bare = make_report({"grouped": result.model_copy(update={"sets": None, "verdicts": None})})
    write_report(tmp_path, bare)
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = page.text
    assert not {"sets", "verdicts", "training"} & {attributes.get("id") for _, attributes in page.tags}
    assert "None to show." in text
    assert "today" in text


def test_a_model_without_a_calibrator_shows_the_calibration_it_has(tmp_path):
    result, scores = protocol(n=30, classes=("no", "yes"))
    alone = Calibration(**dict(evaluate_calibration(scores, 20)))
    bare = result.model_copy(update={"calibration": alone, "sets": None, "verdicts": None})
    write_report(tmp_path, make_report({"grouped": bare}))
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Calibration" in text
    assert "As trained" not in text
    assert "grouped as trained" not in text  # the row of its table


def test_too_few_groups_for_prediction_sets_are_said_first(report, tmp_path):
    official = report.protocols["official"]
    lacking = {"groups": (7,), "needed": 99, "level": 0.99, "bounds": None, "curve": ()}
    few = official.model_copy(update={"sets": official.sets.model_copy(update=lacking)})
    write_report(tmp_path, changed(report, protocols={"official": few}), PICTURES)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "7 groups calibrate" in text
    assert "need 99; until then, every set holds all classes" in text


def test_undefined_numbers_are_shown_as_such(tmp_path):
    labels = np.zeros(6, dtype=int)
    probabilities = np.tile([0.9, 0.1], (6, 1))
    scores = Scores(probabilities, labels, np.zeros(6, int), ("no", "yes"))
    write_report(tmp_path, make_report({"p": protocol_report(scores)}))
    assert "–" in (tmp_path / "report.html").read_text(encoding="utf-8")
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["protocols"]["p"]["macro_auroc"]["value"] is None


def test_a_file_name_that_is_not_text_does_not_stop_the_report(report, tmp_path):
    odd = Mistake(file="scan-\udcff.jpg", label="glioma", predicted="pituitary", probability=0.9)
    write_report(tmp_path, changed(report, mistakes=(odd,)), PICTURES[:1])
    assert json.loads((tmp_path / "report.json").read_text())["mistakes"][0]["file"] == "scan-?.jpg"
    assert "scan-?.jpg" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_cannot_be_shown_is_refused_and_nothing_is_written(report, tmp_path):
    bad = MistakePicture(b"<svg onload=alert(1)>")
    with pytest.raises(ValueError, match="expected an image to be PNG or JPEG but got bytes"):
        write_report(tmp_path, report, [bad, bad])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="protocols"):
        make_report({})
