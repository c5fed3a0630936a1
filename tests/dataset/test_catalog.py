import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from gliascope.dataset.catalog import Catalog, side_files
from gliascope.dataset.scan import scan

Make = Callable[..., Path]


def copied(source: Path, times: int) -> Path:
    """The same with each file `times` times."""
    for file in sorted(source.rglob("*.png")):
        for number in range(1, times):
            shutil.copyfile(file, file.with_name(f"{file.stem}-{number}.png"))
    return source


def test_a_sample_tells_anew_what_is_set_aside(make_source: Make, tmp_path: Path) -> None:
    """A copy stays in the merged set where what it copies was not drawn."""
    trees = {"Training": 6, "Testing": 30}
    source = make_source(
        {f"{part}/{label}": n for part, n in trees.items() for label in ("glioma", "notumor")}
    )
    for file in sorted((source / "Training").rglob("*.png")):
        target = source / "Testing" / file.parent.name / f"copy-{file.name}"
        shutil.copyfile(file, target)
    sample = scan([source]).sample_slices(3)
    frame = sample.frame
    assert frame.height == 12
    kept = frame.filter(pl.col("exclusion_reason").is_null())
    assert kept["pixel_hash"].n_unique() == kept.height == frame["pixel_hash"].n_unique()
    for reason in frame["exclusion_reason"].drop_nulls():
        assert reason.removeprefix("copy of ") in set(frame["path"])


def test_a_sample_is_drawn_by_path_so_that_copies_are_in_it_as_often_as_chance_has_it(
    make_source: Make,
) -> None:
    """Drawn by the pixels' hash, all three copies of a slice came together, or none of them."""
    catalog = scan([copied(make_source({"glioma": 20, "notumor": 20}), 3)])
    assert catalog.sample_slices(20).frame.equals(catalog.sample_slices(20).frame)
    together = catalog.sample_slices(20).frame.group_by("pixel_hash").len()["len"]
    # Of 20 triples, a third of all slices: 40 slices in 27 or so groups, where copies that come together give 14.
    assert len(together) >= 20
    assert set(together) == {1, 2} or set(together) == {1, 2, 3}


def test_a_sample_is_the_same_wherever_the_sources_lie(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"glioma": 9, "notumor": 9})
    before = scan([source]).sample_slices(4).frame["path"]
    (tmp_path / "elsewhere").mkdir()
    source.rename(tmp_path / "elsewhere" / source.name)
    assert scan([tmp_path / "elsewhere" / source.name]).sample_slices(4).frame["path"].equals(before)


@pytest.mark.parametrize("names", [("one.parquet", "two.parquet"), ("cat.1", "cat.2")])
def test_catalogues_in_one_folder_keep_their_own_side_files(
    make_source: Make, tmp_path: Path, names: tuple[str, str]
) -> None:
    broken = make_source({"glioma": 2, "notumor": 2}, name="broken")
    (broken / "glioma" / "bad.png").write_bytes(b"no picture")
    shutil.copyfile(broken / "glioma" / "000.png", broken / "notumor" / "same.png")
    first, second = (tmp_path / name for name in names)
    scan([broken]).write(first)
    whole = scan([make_source({"glioma": 2, "notumor": 2}, name="whole", seed=1)])
    whole.write(second)
    found = Catalog.load(first)
    assert found.excluded["reason"].len() == 1
    assert Catalog.load(second).excluded.is_empty()
    assert found.with_thumbnails().height == 6 - 1
    assert Catalog.load(second).with_thumbnails().height == 4
    contradicting = side_files(first)[2]
    assert contradicting.name == names[0].removesuffix(".parquet") + ".conflicts.csv"
    assert contradicting.exists()
    assert not side_files(second)[2].exists()
    replace(whole, excluded=found.excluded).write(second)
    assert Catalog.load(first).excluded.equals(found.excluded)
