from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from tiny import LABELS

from gliascope.dataset.scan import scan
from gliascope.errors import SplitError
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.splits.split import Split, split
from gliascope.store.store_splits import store_splits

SMALL = Preprocessing(size=32)


def test_splits_of_what_is_all_there_stay_as_they_are(
    official_source: Path, capsys: pytest.CaptureFixture
) -> None:
    catalog = scan([official_source])
    splits = split(catalog, ["official", "grouped"])
    capsys.readouterr()
    images, same = store_splits(catalog.frame, splits, SMALL)
    assert len(images.hashes) == 64
    assert all(after.frame.equals(before.frame) for before, after in zip(splits, same, strict=True))
    assert "goes on without" not in capsys.readouterr().err


def test_lost_slices_leave_every_split_and_are_counted(
    official_source: Path, capsys: pytest.CaptureFixture
) -> None:
    catalog = scan([official_source])
    splits = split(catalog, ["official"], repeats=2)
    (official_source / "Testing" / LABELS[0] / "000.png").unlink()
    images, left = store_splits(catalog.frame, splits, SMALL)
    for before, after in zip(splits, left, strict=True):
        assert len(images.rows(after.frame["pixel_hash"])) == before.frame.height - 1
        assert after.subset("test").height == before.subset("test").height - 1
    told = capsys.readouterr().err
    for name in ("official", "official repeat 2"):
        lost = "goes on without 1 slices: 0 of train, 0 of val, 1 of test"
        assert told.count(f"protocol {name} {lost}") == 1


def test_a_split_without_test_slices_may_lose_some_and_none_may_lose_a_class(
    make_source: Callable[..., Path],
) -> None:
    """`tune` and ensembles have such splits."""
    source = make_source(
        {f"{part}/{label}": 6 for part in ("Training", "Testing") for label in ("yes", "no")}
    )
    catalog = scan([source])
    (whole,) = split(catalog)
    untested = Split(whole.frame.filter(pl.col("subset") != "test"))
    gone = whole.subset("train").filter(label="tumor")["path"].to_list()
    (source.parent / gone[0]).unlink()
    _, (left,) = store_splits(catalog.frame, [untested], SMALL)
    assert left.frame.height == untested.frame.height - 1
    for path in gone[1:]:
        (source.parent / path).unlink()
    other = Preprocessing(size=48)  # the first store holds what was there
    with pytest.raises(SplitError, match=r"'tumor' is in .* but not in training"):
        store_splits(catalog.frame, [untested], other)
