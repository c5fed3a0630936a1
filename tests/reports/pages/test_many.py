"""C11: twenty and forty classes, long names and letters that not every font has."""

import re
from io import BytesIO

import numpy as np
import pytest
from html_page import Page, check_page
from PIL import Image
from reported import make_report, protocol_report

from gliascope.cli.tables import _print_counts
from gliascope.evaluation.conformal import evaluate_sets
from gliascope.evaluation.curves import evaluate_curves
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.subgroups import evaluate_subgroups
from gliascope.evaluation.untested import find_untested
from gliascope.reports.pages.discrimination import roc_curves
from gliascope.reports.pages.fonts import DEFAULT_FONT, families_for
from gliascope.reports.pages.plots import PredictionExample, confusion, predictions
from gliascope.reports.pages.report import write_report
from gliascope.reports.report import ClassCounts
from gliascope.reports.uncertainty import PredictionSets
from gliascope.runtime.formats import shorten

LONG = "anaplastic_oligodendroglioma_IDH_mutant_and_1p19q_codeleted"
NAMES = ("glioma", "meningioma", "胶质瘤", "диффузная астроцитома", LONG, LONG.replace("codeleted", "intact"))


def classes(count: int) -> tuple[str, ...]:
    return (NAMES + tuple(f"class {number}" for number in range(count)))[:count]


def simulated(count: int, n: int = 300) -> Scores:
    rng = np.random.default_rng(0)
    labels = np.arange(n) % count
    odds = np.exp(rng.normal(size=(n, count)) + 3 * np.eye(count)[labels])
    return Scores(odds / odds.sum(axis=1, keepdims=True), labels, np.arange(n), classes(count))


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    scores = simulated(20)
    result = evaluate_scores(scores, 20)
    sets = evaluate_sets(scores, scores.probabilities > 0.05, 20)
    protocol = protocol_report(
        scores,
        resamples=20,
        subgroups=evaluate_subgroups(scores, {"source": ["one", "two"] * 150}, 20),
        curves=evaluate_curves(scores, 20),
        sets=PredictionSets(
            method="lac", level=0.95, groups=(300,), needed=19, bounds=None, methods={"lac": sets}
        ),
        **dict(find_untested(scores, result)),
    )
    counts = ClassCounts.of("one", dict.fromkeys(scores.classes, 15), 300)
    folder = tmp_path_factory.mktemp("many")
    write_report(folder, make_report({"official": protocol}, subsets=(counts,)))
    return check_page((folder / "report.html").read_text(encoding="utf-8"))


def test_every_column_of_the_confusion_matrix_is_narrow_and_named(page: Page) -> None:
    (table,) = [attributes for tag, attributes in page.tags if "heat" in (attributes.get("class") or "")]
    assert "dense" in (table["class"] or "").split()
    titles = [attributes["title"] for tag, attributes in page.tags if tag == "th" and "title" in attributes]
    assert titles == list(classes(20))
    assert "Columns have the numbers of the rows" in page.text


def test_no_table_has_a_column_for_each_of_many_classes_but_the_confusion_matrix(page: Page) -> None:
    heads = [tag for tag, attributes in page.tags if tag == "th" and attributes.get("scope") == "col"]
    assert len(heads) - 21 < 50  # of all other tables together
    assert "Coverage by class" in page.text


@pytest.mark.parametrize("count", [2, 8, 20, 40])
def test_pictures_grow_slowly_and_warn_of_nothing(count: int, recwarn: pytest.WarningsRecorder) -> None:
    scores = simulated(count)
    result = evaluate_scores(scores, 20)
    drawn = confusion(result, "official")
    with Image.open(BytesIO(drawn.png())) as picture:
        assert picture.width < 3000 and picture.height < 2200
        if count > 8:
            assert picture.width / count > 50  # a column of 40 pixels and more, beside the names
    shown = [PredictionExample(np.zeros((8, 8), np.uint8), one, LONG, 0.9) for one in scores.classes[:6]]
    assert predictions(shown).png()
    assert roc_curves(evaluate_curves(scores, 20), result).size[1] < 30
    assert not [one for one in recwarn if "Glyph" in str(one.message)]


def test_letters_are_drawn_in_a_font_that_has_them_or_said_to_be_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    drawing = confusion(evaluate_scores(simulated(9), 20), "official")
    from gliascope.reports.pages import fonts

    fonts.note_missing.cache_clear()
    monkeypatch.setattr(fonts, "_installed", lambda: ())
    alone = drawing.png()
    assert "no font of this machine has the letters" in capsys.readouterr().err
    assert drawing.png() == alone
    assert "no font" not in capsys.readouterr().err  # once
    has = frozenset(map(ord, "胶质瘤"))
    monkeypatch.setattr(fonts, "_installed", lambda: (("Another", lambda: has), ("None", frozenset)))
    assert families_for(set(has) | {ord("x")}) == [DEFAULT_FONT, "Another"]


def test_names_are_shortened_in_their_middle() -> None:
    assert shorten("glioma", 8) == "glioma"
    short = [shorten(name, 24) for name in (LONG, LONG.replace("codeleted", "intact"))]
    assert short[0] != short[1]
    assert all(len(name) <= 24 and "…" in name for name in short)
    assert shorten("胶质瘤胶质瘤", 12) == "胶质瘤胶质瘤"  # six letters, two columns each
    assert len(shorten("胶质瘤胶质瘤", 8)) <= 4


def test_a_table_on_the_screen_that_is_too_wide_has_classes_as_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import polars as pl

    monkeypatch.setenv("COLUMNS", "80")
    frame = pl.DataFrame(
        {"subset": ["train", "test"] * 20, "label": [name for name in classes(20) for _ in "ab"]}
    )
    _print_counts(frame, ["subset", "label"], "Slices")
    printed = capsys.readouterr().out
    assert all(re.search(rf"^│ {re.escape(name)} ", printed, re.M) for name in ("glioma", "class 13"))
    few = frame.with_columns(label=pl.Series(["glioma", "meningioma"] * 20))
    _print_counts(few, ["subset", "label"], "Slices")
    assert re.search(r"^│ train ", capsys.readouterr().out, re.M)
