import json
from pathlib import Path
from typing import Any

import pytest
from html_page import check_page

from gliascope.reports.pages.tune import history, importances, parallel_coordinates, write_tune
from gliascope.reports.tuning import Axis, Trial, Tuning

AXES = (
    Axis(key="stages.0.lr", low=1e-4, high=1e-2, log=True),
    Axis(key="head.pooling", choices=("average", "max")),
)


def row(number: int, value: float | None, lr: float, pooling: str = "max", pruned: bool = False) -> Trial:
    return Trial(
        number=number,
        value=value,
        pruned=pruned,
        epochs=2 if pruned else 9,
        seconds=60.0,
        values={"stages.0.lr": lr, "head.pooling": pooling},
    )


def changed(data: Tuning, **changes: Any) -> Tuning:
    return data.model_copy(update=changes)


DATA = Tuning(
    recipe="quick",
    sources=("<b>one</b>", "two"),
    created="2026-11-22T02:00:00+00:00",
    protocol="official-clean",
    folds=1,
    slices=500,
    groups=400,
    objective="val_accuracy",
    axes=AXES,
    trials=(
        row(0, 0.95, 2e-3, "average"),
        row(1, 0.97, 1e-3),
        row(2, 0.8, 1e-2, pruned=True),
        row(4, None, 1e-4, pruned=True),
    ),
    best=1,
    baseline=0,
    importances={"stages.0.lr": 0.7, "head.pooling": 0.3},
    tuned="tuned/best.yaml",
)


def test_the_page_says_what_was_found_and_how_little_it_proves(tmp_path: Path) -> None:
    write_tune(tmp_path, DATA)
    page = check_page((tmp_path / "tune.html").read_text())
    for words in (
        "The best of 4 trials reaches a validation accuracy of 97.0 %",
        "the recipe as it stands, 95.0 %",
        "Chosen on 500 validation slices in 400 independent groups",
        "One standard error of its accuracy is 0.85 points",  # (0.97 × 0.03 / 400) ** 0.5
        "--recipe tuned/best.yaml",
        "<b>one</b>",
    ):
        assert words in page.text
    found = json.loads((tmp_path / "tune.json").read_text())
    assert found["best"] == 1
    assert found["trials"][3]["value"] is None
    assert found["axes"][0]["key"] == "stages.0.lr"


def test_the_best_come_first_whatever_is_judged_and_pruned_ones_last() -> None:
    assert [trial.number for trial in DATA.ranked] == [1, 0, 2, 4]
    loss = changed(DATA, objective="val_loss", best=0)
    assert [trial.number for trial in loss.ranked] == [0, 1, 2, 4]
    assert loss.standard_error is None


def test_where_the_recipe_as_it_stands_is_best_or_unknown_the_page_says_so(tmp_path: Path) -> None:
    write_tune(tmp_path, changed(DATA, best=0, trials=DATA.trials[:1], importances={}))
    page = check_page((tmp_path / "tune.html").read_text())
    assert "97" not in page.text.split("Chosen")[0]
    assert ": the recipe as it stands" in page.text
    assert "What mattered" not in page.text
    write_tune(tmp_path, changed(DATA, baseline=None))
    assert "as it stands" not in check_page((tmp_path / "tune.html").read_text()).text


@pytest.mark.parametrize(
    ("axis", "value", "place"),
    [
        (AXES[0], 1e-3, 0.5),
        (AXES[0], 1e-4, 0.0),
        (AXES[1], "max", 1.0),
        (Axis(key="epochs", low=2, high=6), 5, 0.75),
    ],
)
def test_values_have_their_place_between_the_ends(axis: Axis, value: object, place: float) -> None:
    assert axis.position(value) == pytest.approx(place)


def test_figures_can_be_drawn_of_a_single_trial() -> None:
    one = changed(DATA, trials=DATA.trials[:1], best=0)
    for drawing in (
        history(one),
        parallel_coordinates(one),
        importances({"a field with a name that is long": 1.0}),
    ):
        assert drawing.png().startswith(b"\x89PNG")
