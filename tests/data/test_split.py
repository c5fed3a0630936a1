from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from gliascope.data.catalog import Catalog
from gliascope.data.groups import group_ids
from gliascope.data.scan import scan
from gliascope.data.split import PROTOCOLS, Split, split
from gliascope.errors import SplitError

Make = Callable[..., Path]


def catalog_of(rows: list[dict]) -> Catalog:
    """A catalogue with the columns that splitting reads."""
    base = {"root": "/", "source": "s", "official": None, "patient": None, "study": None}
    base |= {"group": None, "index": 0}
    full = [base | {"path": f"s/{n}.png", "pixel_hash": f"{n:032x}"} | row for n, row in enumerate(rows)]
    types = dict.fromkeys(("official", "patient", "study", "group"), pl.String)
    return Catalog(pl.DataFrame(full, schema_overrides=types), pl.DataFrame())


def many(count: int, **columns: Callable[[int], object]) -> list[dict]:
    return [{name: value(n) for name, value in columns.items()} for n in range(count)]


def test_groups_join_patients_studies_files_and_identical_pixels_transitively() -> None:
    frame = catalog_of(
        [
            {"label": "a", "patient": "p1"},
            {"label": "a", "patient": "p1", "pixel_hash": "x" * 32},
            {"label": "a", "patient": "p2", "pixel_hash": "x" * 32},
            {"label": "a", "patient": "p2", "group": "g"},  # the CSV's word counts, not the file's
            {"label": "a"},
            {"label": "a", "group": "g"},
            {"label": "a", "study": "t"},
            {"label": "a", "study": "t", "path": "s/volume.nii"},
            {"label": "a", "path": "s/volume.nii"},
        ]
    ).frame
    assert group_ids(frame).tolist() == [0, 0, 0, 1, 2, 1, 3, 3, 3]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_contract_every_protocol_fills_all_parts_with_all_classes_and_repeats_itself(protocol: str) -> None:
    rows = many(
        400,
        label=lambda n: "ab"[n % 2],
        official=lambda n: "test" if n % 5 == 0 else "train",
        patient=lambda n: f"p{n // 5}" if n % 5 else None,
    )
    first, again = (split(catalog_of(rows), protocol, seed=3) for _ in range(2))
    assert first.frame.equals(again.frame)
    assert not first.frame.equals(split(catalog_of(rows), protocol, seed=4).frame)
    for part in ("train", "val", "test"):
        assert set(first.part(part)["label"]) == {"a", "b"}
    assert first.protocol == protocol
    assert first.fingerprint == again.fingerprint


def test_grouped_cuts_no_group_and_keeps_shares() -> None:
    rows = many(3000, label=lambda n: "abc"[n // 1000], patient=lambda n: f"p{n // 7}")
    frame = split(catalog_of(rows), "grouped").frame
    assert frame.group_by("group").agg(pl.col("part").n_unique())["part"].max() == 1
    for label in "abc":
        shares = dict(frame.filter(pl.col("label") == label)["part"].value_counts(normalize=True).rows())
        assert shares["train"] == pytest.approx(0.7, abs=0.02)
        assert shares["val"] == pytest.approx(0.15, abs=0.02)
        assert shares["test"] == pytest.approx(0.15, abs=0.02)


def test_the_order_of_the_files_changes_nothing() -> None:
    rows = many(
        200, label=lambda n: "ab"[n % 2], path=lambda n: f"s/{n}.png", pixel_hash=lambda n: f"{n:032x}"
    )
    one, other = (split(catalog_of(list(order)), "grouped").frame for order in (rows, reversed(rows)))
    assert one.sort("path").select("path", "part").equals(other.sort("path").select("path", "part"))


def test_a_known_split_stays_as_it_is() -> None:
    """Guards the promise across versions and machines: these parts were drawn once and written down."""
    rows = many(20, label=lambda n: "ab"[n % 2])
    parts = split(catalog_of(rows), "grouped", seed=0).frame["part"].to_list()
    assert [n for n, part in enumerate(parts) if part == "test"] == [0, 15]
    assert [n for n, part in enumerate(parts) if part == "val"] == [3, 6, 12, 17]


def test_official_keeps_the_sources_test_and_cuts_validation_by_group() -> None:
    rows = many(
        300,
        label=lambda n: "ab"[n % 2],
        official=lambda n: "test" if n < 50 else "train",
        patient=lambda n: f"p{n // 6}" if n >= 60 else None,
    )
    frame = split(catalog_of(rows), "official").frame
    assert frame["part"].to_list()[:50] == ["test"] * 50
    later = frame[60:]
    assert later.group_by("group").agg(pl.col("part").n_unique())["part"].max() == 1
    assert (later["part"] == "val").mean() == pytest.approx(0.15, abs=0.03)


def test_official_uses_the_sources_own_validation() -> None:
    rows = many(60, label=lambda n: "ab"[n % 2], official=lambda n: ("train", "val", "test")[n % 3])
    frame = split(catalog_of(rows), "official").frame
    assert frame["part"].to_list() == ["train", "val", "test"] * 20


def test_errors_name_the_remedy(make_source: Make) -> None:
    with pytest.raises(SplitError, match="choose from official, grouped"):
        split(catalog_of([]), "offical")
    with pytest.raises(SplitError, match="--protocol grouped"):
        split(scan([make_source({"yes": 5, "no": 5}, name="flat")]), "official")
    tree = {"Training/glioma": 9, "Training/notumor": 9, "Testing/glioma": 2, "Testing/pituitary": 2}
    with pytest.raises(SplitError, match="class 'pituitary' is in test but not in training"):
        split(scan([make_source(tree, name="lacking")]), "official")
    with pytest.raises(SplitError, match="too few"):
        split(catalog_of(many(4, label=lambda n: "ab"[n % 2])), "grouped")


def test_a_split_survives_its_file(make_source: Make, tmp_path: Path) -> None:
    made = split(scan([make_source({"yes": 20, "no": 20})]), "grouped")
    made.write(tmp_path / "split.parquet")
    loaded = Split.load(tmp_path / "split.parquet")
    assert loaded.frame.equals(made.frame)
    assert loaded.classes == ("no_tumor", "tumor")
    assert loaded.class_numbers("train").tolist() == [
        ("no_tumor", "tumor").index(label) for label in loaded.part("train")["label"]
    ]
