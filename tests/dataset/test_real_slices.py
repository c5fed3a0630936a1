"""Facts of the public sets, as their keepers measured them. Needs the folder in GLIASCOPE_DATA."""

import os
from pathlib import Path

import polars as pl
import pytest

from gliascope.dataset.groups import GroupsFile
from gliascope.dataset.scan import scan

DATA = os.environ.get("GLIASCOPE_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="GLIASCOPE_DATA does not name the folder of real slices")


@pytest.mark.parametrize(
    ("name", "train", "test", "distinct"),
    [
        ("masoud7023", (1321, 1339, 1595, 1457), (300, 306, 405, 300), 6636),
        ("sartaj3264", (826, 822, 395, 827), (100, 115, 105, 74), 2910),
    ],
)
def test_a_public_set_is_read_whole(name: str, train: tuple, test: tuple, distinct: int) -> None:
    catalog = scan([Path(str(DATA)) / name])
    assert catalog.excluded.is_empty()
    counts = {
        (part, label): n for part, label, n in catalog.frame.group_by("official", "label").len().iter_rows()
    }
    for part, expected in (("train", train), ("test", test)):
        assert tuple(counts[part, label] for label in catalog.classes) == expected
    assert catalog.frame["sha256"].n_unique() == distinct


def test_published_folds_are_attached(tmp_path: Path) -> None:
    data = Path(str(DATA))
    table = pl.read_csv(data / "figshare_folds.csv")
    chosen = table.select(path="dataset_path", group="fold_run_id", fold="official_patient_fold_1to5")
    chosen.write_csv(tmp_path / "groups.csv")
    frame = scan([data / "sartaj3264"], groups=GroupsFile(tmp_path / "groups.csv")).frame
    attached = frame.filter(pl.col("group").is_not_null())
    assert attached.height == chosen["path"].str.starts_with("sartaj3264/").sum()
    assert set(attached["fold"]) == {1, 2, 3, 4, 5}
