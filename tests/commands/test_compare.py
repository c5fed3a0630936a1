import json
from pathlib import Path

import polars as pl
import pytest
from html_page import check_page
from outs import BINARY, TYPES, make_bundle, make_out
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.predictions import PREDICTIONS_FILE, load_predictions, to_scores
from gliascope.dataset.catalog import write_table


def compare(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["compare", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def read(out: Path) -> dict:
    return json.loads((out / "compare.json").read_text(encoding="utf-8"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "compare"


def test_runs_stand_side_by_side_the_best_first(tmp_path: Path, out: Path) -> None:
    for name, accuracy in (("poor", 0.5), ("good", 0.95), ("fair", 0.9)):
        make_out(tmp_path / name, name, accuracy)
    code, printed, errors = compare(*(tmp_path / name for name in ("poor", "good", "fair")), "--out", out)
    assert code == 0, errors
    assert {path.name for path in out.iterdir()} == {"compare.html", "compare.json", "compare.png"}
    found = read(out)
    assert [run["name"] for run in found["runs"]] == ["good", "fair", "poor"]
    assert found["best"] == "good"
    assert found["equal_to_best"] == ["fair"]  # 3 of 60 discordant: p = 0.25
    assert (found["n"], found["groups"], found["protocol"]) == (60, 60, "official")
    best, fair, poor = found["runs"]
    assert best["accuracy"]["value"] == 0.95
    assert best["accuracy"]["low"] < 0.95 < best["accuracy"]["high"]
    assert fair["against_best"]["p"] == 0.25
    assert poor["against_best"]["best_only"] == 27
    assert poor["against_best"]["p_holm"] == pytest.approx(2 * 2 / 2**27)
    for run in found["runs"]:
        assert 0 < run["latency_ms"]["low"] <= run["latency_ms"]["value"] <= run["latency_ms"]["high"]
        assert run["seconds"] == 10.0  # a resumed run: the epochs of all sessions
        assert run["parameters"] == 12
        assert run["bytes"] == len(make_bundle(run["recipe"], TYPES).model)
    page = check_page((out / "compare.html").read_text(encoding="utf-8"))
    assert "Of 3 runs, good is right most often" in page.text
    assert "No test on these slices distinguishes it from fair." in page.text
    assert "good" in printed


def test_one_protocol_of_several_is_named(tmp_path: Path, out: Path) -> None:
    one = make_out(tmp_path / "one", "one", protocols=("grouped", "official"))
    two = make_out(tmp_path / "two", "two", protocols=("official",))
    code, _, errors = compare(one, two, "--out", out)
    assert code == 2
    assert f"{two}: has no protocol 'grouped' but official; choose by --protocol" in errors
    assert compare(one, two, "--out", out, "--protocol", "official")[0] == 0
    assert read(out)["protocol"] == "official"


def test_groups_get_a_test_of_their_own(tmp_path: Path, out: Path) -> None:
    places = [make_out(tmp_path / n, n, a, group_size=6) for n, a in (("one", 0.9), ("two", 0.7))]
    assert compare(*places, "--out", out)[0] == 0
    against = read(out)["runs"][1]["against_best"]
    assert against["p"] < 0.001
    assert against["p_groups"] > 0.2
    assert read(out)["equal_to_best"] == ["two"]
    assert "10 independent groups" in (out / "compare.html").read_text()


def test_a_leak_is_named_and_equal_recipes_are_told_apart_by_folder(tmp_path: Path, out: Path) -> None:
    one, two = make_out(tmp_path / "one", "quick", watched=True), make_out(tmp_path / "two", "quick", 0.7)
    assert compare(one, two, "--out", out)[0] == 0
    found = read(out)["runs"]
    assert [run["name"] for run in found] == [f"quick ({one})", f"quick ({two})"]
    assert found[0]["leak"]["accuracy"] == 0.9
    page = check_page((out / "compare.html").read_text(encoding="utf-8"))
    assert "choosing the epoch there would have claimed" in page.text


def test_the_order_of_rows_and_the_names_of_groups_do_not_matter(tmp_path: Path, out: Path) -> None:
    one, two = (make_out(tmp_path / name, name, group_size=2) for name in ("one", "two"))
    turned = load_predictions(two).reverse().with_columns(group=100 - pl.col("group"))
    write_table(turned, two / PREDICTIONS_FILE)
    assert compare(one, two, "--out", out)[0] == 0
    assert read(out)["runs"][1]["against_best"]["best_only"] == 0


def _other_slices(folder: Path) -> None:
    frame = load_predictions(folder)
    write_table(
        frame.with_columns(pixel_hash=pl.col("pixel_hash").str.replace("^0", "f")), folder / PREDICTIONS_FILE
    )


def _other_labels(folder: Path) -> None:
    swapped = {"glioma": "meningioma", "meningioma": "glioma"}
    write_table(
        load_predictions(folder).with_columns(pl.col("label").replace(swapped)), folder / PREDICTIONS_FILE
    )


def _other_groups(folder: Path) -> None:
    write_table(load_predictions(folder).with_columns(group=pl.col("group") // 2), folder / PREDICTIONS_FILE)


def _other_model(folder: Path) -> None:
    make_bundle("two", BINARY).write(folder / "bundle")


def _fewer_rows(folder: Path) -> None:
    write_table(load_predictions(folder).head(50), folder / PREDICTIONS_FILE)


def _no_probabilities(folder: Path) -> None:
    write_table(load_predictions(folder).with_columns(p_glioma=pl.lit(7.0)), folder / PREDICTIONS_FILE)


def _no_predictions(folder: Path) -> None:
    (folder / PREDICTIONS_FILE).unlink()


def _no_bundle(folder: Path) -> None:
    (folder / "bundle").rename(folder / "gone")


def _old_report(folder: Path) -> None:
    report = json.loads((folder / "report.json").read_text())
    del report["leak"]
    (folder / "report.json").write_text(json.dumps(report))


def _damaged_report(folder: Path) -> None:
    (folder / "report.json").write_text("{")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_other_slices, "different slices under protocol 'official': 60 only in the first, 60 only in the"),
        (_other_labels, "give the same test slices another label"),
        (_other_groups, "give the same test slices another group"),
        (_other_model, "two: its report is of another model"),
        (_fewer_rows, "two: predictions.parquet does not belong to the report beside it"),
        (_no_probabilities, "two: damaged predictions.parquet"),
        (_no_predictions, "make it with `gliascope evaluate`"),
        (_no_bundle, "two: holds neither bundle/ nor run/model"),
        (_old_report, "two/report.json: lacks fields"),
        (_damaged_report, "two/report.json: not a report"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_2(
    tmp_path: Path, out: Path, change, message: str
) -> None:
    one, two = make_out(tmp_path / "one", "one"), make_out(tmp_path / "two", "two")
    change(two)
    code, _, errors = compare(one, two, "--out", out)
    assert code == 2
    assert message in errors
    assert len(errors.strip().splitlines()) == 1
    assert not out.exists()


def test_a_binary_run_beside_a_four_class_one_is_refused_naming_both(tmp_path: Path, out: Path) -> None:
    one, two = make_out(tmp_path / "one", "quick"), make_out(tmp_path / "two", "binary", classes=BINARY)
    code, _, errors = compare(one, two, "--out", out)
    assert code == 2
    for words in (str(one), str(two), "pituitary (quick) but no_tumor, tumor (binary)", "runs of one task"):
        assert words in errors
    assert not out.exists()


@pytest.mark.parametrize("given", [("one",), ("one", "one"), ("one", "two/../one")])
def test_two_different_runs_are_needed(tmp_path: Path, out: Path, given: tuple[str, ...]) -> None:
    make_out(tmp_path / "one", "one")
    (tmp_path / "two").mkdir()
    code, _, errors = compare(*(tmp_path / name for name in given), "--out", out)
    assert code == 2
    assert "give two or more runs to compare, each once" in errors


def test_predictions_come_back_as_scores(tmp_path: Path) -> None:
    frame = load_predictions(make_out(tmp_path / "one", "one", 0.5, protocols=("official", "grouped")))
    scores = to_scores(frame.filter(protocol="grouped"))
    assert scores.classes == TYPES
    assert scores.correct.sum() == 30
    assert len(scores) == 60


def test_classes_that_few_test_slices_are_of_are_named(tmp_path: Path, out: Path) -> None:
    """C3: sixteen slices are four of each class."""
    places = [make_out(tmp_path / n, n, a, n=16) for n, a in (("one", 1.0), ("two", 0.5))]
    code, printed, errors = compare(*places, "--out", out)
    assert code == 0, errors
    said = "Few test slices are of glioma (4 slices of 4 groups)"
    assert said in " ".join(read(out)["notes"])
    assert said in " ".join(printed.split())
    assert said in check_page((out / "compare.html").read_text(encoding="utf-8")).text
