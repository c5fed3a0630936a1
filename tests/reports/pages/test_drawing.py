import io
import re

import numpy as np
import pytest
from PIL import Image
from reported import epoch

from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores
from gliascope.recipes.run import EpochMetrics
from gliascope.reports.pages.curves import leak_sentence, training_curve, training_sheet
from gliascope.reports.pages.drawing import ACCENT, ALARM, INK, Drawing
from gliascope.reports.pages.plots import PredictionExample, confusion, predictions
from gliascope.reports.report import Leak, find_leak

PAPER, TEAL, RED = (251, 250, 248), (11, 107, 115), (168, 50, 31)


def lines(figure) -> None:
    axes = figure.add_subplot()
    for height, colour in enumerate((INK, ACCENT, ALARM)):
        axes.plot([0, 1], [height, height], color=colour, lw=9)


def pixels(png: bytes) -> np.ndarray:
    image = Image.open(io.BytesIO(png))
    image.load()
    return np.asarray(image.convert("RGBA"))


def colours(png: bytes) -> set[tuple[int, ...]]:
    return set(map(tuple, np.unique(pixels(png)[..., :3].reshape(-1, 3), axis=0).tolist()))


def rows(watched: bool = False) -> list[EpochMetrics]:
    found = []
    for number, tested in enumerate((0.5, 0.6, 0.9, 0.7, 0.9, 0.8), start=1):
        values = {"stage": number // 4, "lr": 1e-3 / number, "train_loss": 1 / number}
        values |= {"val_loss": 1.2 / number, "train_accuracy": 1 - 0.3 / number}
        values |= {"val_accuracy": 1 - 0.4 / number, "test_accuracy": tested if watched else None}
        found.append(epoch(number, **values))
    return found


def test_one_drawing_is_svg_in_the_colours_of_the_page_and_a_picture_in_its_own():
    drawing = Drawing("three", (3, 2), lines)
    svg = drawing.__html__()
    assert svg.startswith("<svg")
    for colour in ("currentColor", "var(--accent)", "var(--alarm)"):
        assert colour in svg
    assert not re.search(r"#[0-9a-fA-F]{6}|<metadata|font-family", svg)
    assert {PAPER, TEAL, RED} <= colours(drawing.png())
    assert (pixels(drawing.png())[..., 3] == 255).all()  # legible on a dark page, too


def test_the_same_drawing_gives_the_same_bytes_whatever_the_users_settings():
    import matplotlib

    drawing = training_sheet(rows(), 4)
    png, svg = drawing.png(), drawing.__html__()
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red", "savefig.dpi": 30}):
        assert drawing.png() == png
        assert drawing.__html__() == svg


def test_curves_mark_stages_the_chosen_epoch_and_show_the_rate():
    svg = training_sheet(rows(), 4).__html__()
    assert svg.count("stage 2") == 3
    assert "learning rate" in svg
    assert "chosen epoch" in svg
    assert "LEAK" not in svg
    assert "LEAK" not in training_curve(rows(), "accuracy", None).__html__()


def test_a_watched_test_set_is_shown_as_the_leak_it_is():
    found = find_leak(rows(watched=True), 4)
    assert found == Leak(epoch=3, accuracy=0.9, honest_epoch=4, honest_accuracy=0.7)
    told = leak_sentence(found).replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert told == "chosen on the test set: 90.0 % at epoch 3 (LEAK); chosen on validation: 70.0 % at epoch 4"
    svg = training_curve(rows(watched=True), "accuracy", 4).__html__()
    assert "test (LEAK)" in svg
    assert "chosen on the test set (LEAK)" in svg
    assert "LEAK" not in training_curve(rows(watched=True), "loss", 4).__html__()
    assert RED in colours(training_sheet(rows(watched=True), 4).png())


@pytest.mark.parametrize("watched", [rows(), []])
def test_without_test_accuracy_there_is_no_leak(watched):
    assert find_leak(watched, 1) is None


def test_a_confusion_matrix_tells_hits_from_mistakes():
    said = np.where(np.arange(10) < 9, 0, 1)
    scores = Scores(0.1 + 0.8 * np.eye(2)[said], np.zeros(10, int), np.arange(10), ("no", "yes"))
    result = evaluate_scores(scores, 20)
    drawing = confusion(result, "official")
    svg = drawing.__html__()
    for text in ("90.0", "10.0", "true class", "predicted class", "official: 90.0"):
        assert text in svg
    assert len(drawing.png()) > 1000


def test_wrong_predictions_differ_by_more_than_colour():
    slice_ = np.full((20, 24), 90, np.uint8)
    right, wrong = (
        PredictionExample(slice_, "glioma", "glioma", 0.98),
        PredictionExample(slice_, "glioma", "no_tumor", 0.61),
    )
    svg = predictions([right, wrong]).__html__()
    assert svg.count("\u2713 right") == 1
    assert svg.count("\u2717 said no_tumor") == 1
    assert "stroke-dasharray" in svg
    assert RED in colours(predictions([wrong]).png())
    assert RED not in colours(predictions([right]).png())
    colour = PredictionExample(np.zeros((20, 24, 3), np.uint8), "glioma", "glioma", 0.98)
    assert len(predictions([colour] * 8).png()) > 1000
