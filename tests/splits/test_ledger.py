from pathlib import Path

import polars as pl
import pytest

from gliascope.splits.ledger import LEDGER_FILE, EarlierEvaluations, ledger_entry, read_ledger, record
from gliascope.splits.split import COLUMNS, Split


def made_split(protocol: str = "official", content: str = "a", round_: str = "") -> Split:
    rows = [("train", "0"), ("test", content), ("test", content + "1")]
    values = {
        "protocol": protocol, "fold_name": round_, "seed": 0, "decisions": None, "audited": True,
        "path": "p", "index": 0, "source": "s", "label": "glioma", "group": 0, "calibrates": True,
    }  # fmt: skip
    frame = pl.DataFrame([{**values, "subset": part, "pixel_hash": key} for part, key in rows])
    return Split(frame.select(COLUMNS))


def test_other_models_on_the_same_slices_count_wherever_their_results_lie_beside(tmp_path: Path) -> None:
    split = made_split()
    assert record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", split)])["official"].models == 0
    found = record(tmp_path / "b", [ledger_entry("evaluate", "best", "m2", split)])["official"]
    assert found.models == 1
    assert found.first is not None
    assert "1 other model was scored on these test slices before" in str(found)
    record(tmp_path / "b", [ledger_entry("robustness", "best", "m2", split)])
    assert record(tmp_path / "c", [ledger_entry("evaluate", "third", "m3", split)])["official"].models == 2
    assert [one.verb for one in read_ledger(tmp_path / "b" / LEDGER_FILE)] == ["evaluate", "robustness"]


def test_the_same_model_again_is_no_earlier_look(tmp_path: Path) -> None:
    split = made_split()
    record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", split)])
    again = record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", split)])["official"]
    assert again == EarlierEvaluations()
    assert len(read_ledger(tmp_path / "a" / LEDGER_FILE)) == 2  # both are written down


def test_other_test_slices_do_not_count(tmp_path: Path) -> None:
    record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", made_split())])
    assert (
        record(tmp_path / "b", [ledger_entry("evaluate", "quick", "m2", made_split(content="b"))])[
            "official"
        ].models
        == 0
    )


def test_the_same_slices_count_under_another_protocol(tmp_path: Path) -> None:
    record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", made_split())])
    found = record(tmp_path / "b", [ledger_entry("evaluate", "quick", "m2", made_split("grouped"))])
    assert found["grouped"].models == 1


def test_folds_do_not_count_each_other(tmp_path: Path) -> None:
    looks = [
        ledger_entry("evaluate", "quick", f"m{n}", made_split("folds", str(n), f"fold {n}")) for n in range(5)
    ]
    assert record(tmp_path / "a", looks)["folds"].models == 0


def test_folders_that_lie_apart_share_a_ledger_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIASCOPE_LEDGER", str(tmp_path / "shared" / "looks.jsonl"))
    record(tmp_path / "one" / "a", [ledger_entry("evaluate", "quick", "m1", made_split())])
    assert (
        record(tmp_path / "two" / "b", [ledger_entry("evaluate", "quick", "m2", made_split())])[
            "official"
        ].models
        == 1
    )


def test_a_damaged_line_is_said_and_passed_over(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", made_split())])
    with (tmp_path / "a" / LEDGER_FILE).open("a") as stream:
        stream.write("{half a li\n")
    assert (
        record(tmp_path / "b", [ledger_entry("evaluate", "quick", "m2", made_split())])["official"].models
        == 1
    )
    assert "line 2 is no evaluation" in capsys.readouterr().err


def test_a_shared_ledger_that_cannot_be_written_costs_no_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("GLIASCOPE_LEDGER", str(tmp_path / "file" / "looks.jsonl"))
    record(tmp_path / "a", [ledger_entry("evaluate", "quick", "m1", made_split())])
    assert len(read_ledger(tmp_path / "a" / LEDGER_FILE)) == 1
    assert "GLIASCOPE_LEDGER" in capsys.readouterr().err


def test_a_model_of_another_task_looked_at_the_same_slices(tmp_path: Path) -> None:
    split = made_split()
    record(tmp_path / "a", [ledger_entry("evaluate", "binary", "m1", split.for_task("binary"))])
    assert record(tmp_path / "b", [ledger_entry("evaluate", "types", "m2", split)])["official"].models == 1


def test_a_name_that_holds_a_line_separator_is_one_line(tmp_path: Path) -> None:
    record(tmp_path / "a", [ledger_entry("evaluate", "told\u2028.csv", "m1", made_split())])
    assert [one.name for one in read_ledger(tmp_path / "a" / LEDGER_FILE)] == ["told\u2028.csv"]
