"""What DICOM files say they are, in catalogues and splits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from making import Make
from pydicom.uid import SecondaryCaptureImageStorage, SegmentationStorage

from gliascope.commands.export_dataset import export_dataset
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.splits.protocols import PROTOCOLS
from gliascope.splits.split import split

pytestmark = pytest.mark.filterwarnings("ignore::Warning:pydicom")

ACQUIRED = {"ImageType": ["ORIGINAL", "PRIMARY"]}
LOCALIZER = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
MAP = {"ImageType": ["DERIVED", "PRIMARY", "ADC"]}
CAPTURE = {"SOPClassUID": SecondaryCaptureImageStorage, "Modality": "OT"}


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    rng = np.random.default_rng(0)

    def write(name: str, study: str, **elements: object) -> Path:
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        stored = rng.integers(0, 900, (24, 24), np.uint16)
        maker = Make(path.parent)
        return maker.dicom(stored, StudyInstanceUID=f"1.2.{study}", **elements).rename(path)

    return write


def test_secondary_captures_give_way_to_acquired_slices_of_their_study(
    write: Callable[..., Path], tmp_path: Path
) -> None:
    for label in ("glioma", "no"):
        write(f"{label}/1-acquired.dcm", f"1{len(label)}", **ACQUIRED)
        write(f"{label}/1-capture.dcm", f"1{len(label)}", **CAPTURE)
        write(f"{label}/2-capture.dcm", f"2{len(label)}", **CAPTURE)  # all of its study are
    catalog = scan([tmp_path / "set"])
    assert catalog.frame["path"].str.slice(-13).unique().sort().to_list() == [
        "-acquired.dcm",
        "2-capture.dcm",
    ]
    assert catalog.frame["kind"].is_null().all()
    assert catalog.excluded["path"].sort().to_list() == ["set/glioma/1-capture.dcm", "set/no/1-capture.dcm"]
    assert set(catalog.excluded["reason"]) == {"secondary capture beside acquired slices"}


def test_a_set_converted_from_pictures_stays(write: Callable[..., Path], tmp_path: Path) -> None:
    for number in range(4):
        write(f"{('glioma', 'no')[number % 2]}/{number}.dcm", str(number // 2), **CAPTURE)
    catalog = scan([tmp_path / "set"])
    assert catalog.frame.height == 4
    assert catalog.excluded.is_empty()
    assert catalog.frame["exclusion_reason"].is_null().all()


def _mixed(write: Callable[..., Path], tmp_path: Path) -> Catalog:
    for number in range(40):
        label = ("glioma", "no")[number % 2]
        place = ("Training", "Testing")[number >= 30]
        write(f"{place}/{label}/{number}.dcm", str(number), **ACQUIRED)
        write(f"{place}/{label}/{number}-loc.dcm", str(number), **LOCALIZER)
    write("Training/glioma/map.dcm", "0", **MAP)
    write("Training/no/seg.dcm", "0", SOPClassUID=SegmentationStorage, Modality="SEG")
    return scan([tmp_path / "set"])


def test_localizers_and_maps_train_and_test_nothing(write: Callable[..., Path], tmp_path: Path) -> None:
    catalog = _mixed(write, tmp_path)
    assert dict(catalog.excluded.select("path", "reason").rows()) == {
        "set/Training/no/seg.dcm": "segmentation, not a slice"
    }
    kinds = {"localizer": 40, "derived map": 1, None: 40}
    assert dict(catalog.frame["kind"].value_counts().rows()) == kinds
    assert dict(catalog.frame["exclusion_reason"].value_counts().rows()) == kinds
    catalog.write(tmp_path / "catalog.parquet")
    catalog = Catalog.load(tmp_path / "catalog.parquet")
    for protocol in set(PROTOCOLS) - {"official-clean", "leave-source-out"}:  # of an audit, of two sources
        for one in split(catalog, [protocol]):
            assert not one.frame["path"].str.contains("loc|map").any(), protocol
    export_dataset(catalog, tmp_path / "out")
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 40
    assert pl.read_csv(tmp_path / "out" / "left_out.csv")["why"].str.contains("localizer").sum() == 40


def test_a_class_of_localizers_alone_is_none(write: Callable[..., Path], tmp_path: Path) -> None:
    for number, label in enumerate(("glioma", "meningioma", "no")):
        write(f"{label}/{number}.dcm", str(number), **(LOCALIZER if label == "no" else ACQUIRED))
    assert scan([tmp_path / "set"]).classes == ("glioma", "meningioma")
