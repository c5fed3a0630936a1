from collections.abc import Callable, Sequence
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.merge import CONFLICTS, conflicts, exclusion_reasons
from gliascope.dataset.scan import scan

Make = Callable[..., Path]
Row = tuple[str, str, str]  # path, label, pixels


def frame_of(rows: Sequence[Row]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"source": path.split("/")[0], "path": path, "index": 0, "label": label, "pixel_hash": pixels}
            for path, label, pixels in rows
        ]
    ).with_columns(blank=pl.lit(False), kind=pl.lit(None, pl.String))


def test_distinct_slices_are_all_kept() -> None:
    frame = frame_of([("a/1", "x", "p"), ("a/2", "x", "q"), ("b/1", "y", "r")])
    assert exclusion_reasons(frame).to_list() == [None, None, None]
    assert exclusion_reasons(frame).dtype == pl.String
    assert conflicts(frame).is_empty()


def test_of_copies_the_first_source_wins_and_there_the_first_path() -> None:
    # Source z is named first, though a comes first in the alphabet; z/1 is listed after z/2.
    frame = frame_of([("z/2", "x", "p"), ("a/0", "x", "p"), ("z/1", "x", "p"), ("a/9", "x", "q")])
    assert exclusion_reasons(frame).to_list() == ["copy of z/1", "copy of z/1", None, None]


def test_of_contradicting_copies_none_is_kept() -> None:
    rows = [("a/1", "x", "p"), ("a/2", "x", "p"), ("b/1", "y", "p"), ("b/2", "z", "p"), ("b/3", "y", "q")]
    frame = frame_of(rows)
    assert exclusion_reasons(frame).to_list() == [
        "label conflict with b/1",
        "label conflict with b/1",
        "label conflict with a/1",
        "label conflict with a/1",
        None,
    ]
    found = conflicts(frame)
    assert found.columns == CONFLICTS
    assert found.select("path", "label", "other_path", "other_label").rows() == [
        ("a/1", "x", "b/1", "y"),
        ("a/2", "x", "b/1", "y"),
        ("b/1", "y", "a/1", "x"),
        ("b/2", "z", "a/1", "x"),
    ]


def test_slices_of_one_file_are_compared_too() -> None:
    frame = frame_of([("a/v", "x", "p"), ("a/v", "x", "p"), ("b/v", "x", "p")])
    frame = frame.with_columns(index=pl.Series([1, 0, 0]))
    assert exclusion_reasons(frame).to_list() == ["copy of a/v", None, "copy of a/v"]


def merged_sources(make_source: Make) -> list[Path]:
    """`old` and `new`: two copies, one conflict."""
    old = make_source({"glioma": 3, "notumor": 2}, name="old")
    new = make_source({"Glioma_Tumor": 2, "no_tumor": 2}, name="new", seed=1)
    for number in (0, 1):
        image = (old / "glioma" / f"{number:03d}.png").read_bytes()
        (new / "Glioma_Tumor" / f"copy{number}.png").write_bytes(image)
    (new / "no_tumor" / "wrong.png").write_bytes((old / "glioma" / "002.png").read_bytes())
    return [old, new]


@pytest.mark.parametrize("first", ["old", "new"])
def test_scan_keeps_all_rows_and_says_which_are_set_aside(make_source: Make, first: str) -> None:
    sources = merged_sources(make_source)
    frame = scan(sources if first == "old" else sources[::-1]).frame
    assert frame.height == 12
    aside = dict(
        frame.filter(pl.col("exclusion_reason").is_not_null()).select("path", "exclusion_reason").iter_rows()
    )
    copies = {f"old/glioma/00{n}.png": f"new/Glioma_Tumor/copy{n}.png" for n in (0, 1)}
    if first == "old":
        copies = {new: old for old, new in copies.items()}
    assert aside == {path: f"copy of {kept}" for path, kept in copies.items()} | {
        "old/glioma/002.png": "label conflict with new/no_tumor/wrong.png",
        "new/no_tumor/wrong.png": "label conflict with old/glioma/002.png",
    }


def test_the_scan_command_tells_the_balance_and_lists_the_conflicts(
    make_source: Make, tmp_path: Path
) -> None:
    sources = merged_sources(make_source)
    out = tmp_path / "out" / "catalog.parquet"
    result = CliRunner().invoke(app, ["scan", *map(str, sources), "--out", str(out)])
    assert result.exit_code == 0, result.output
    lines = [" ".join(line.replace("│", " ").split()) for line in result.output.splitlines()]
    assert "as found 7 5 12" in lines
    assert "merged 4 4 8" in lines
    text = " ".join(result.output.split())
    assert "2 copies" in text
    assert "first of these sources keeps its slice: old before new" in text
    assert "2 slices" in text
    listed = pl.read_csv(out.parent / "catalog.conflicts.csv")
    assert listed.columns == CONFLICTS
    assert listed["path"].to_list() == ["old/glioma/002.png", "new/no_tumor/wrong.png"]


def test_conflicts_of_an_earlier_catalogue_do_not_stay(make_source: Make, tmp_path: Path) -> None:
    sources = merged_sources(make_source)
    scan(sources).write(tmp_path / "catalog.parquet")
    assert (tmp_path / "catalog.conflicts.csv").exists()
    clean = scan(sources[:1])
    clean.write(tmp_path / "catalog.parquet")
    assert not (tmp_path / "catalog.conflicts.csv").exists()
    assert Catalog.load(tmp_path / "catalog.parquet").frame.equals(clean.frame)
