"""`scan` reads files of one series on one grey scale, wherever they lie and whoever reads them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import volumes
from making import Make
from PIL import Image

from gliascope.commands.export_dataset import export_dataset
from gliascope.dataset.catalog import FILE_COLUMNS, Catalog, read_catalogued
from gliascope.dataset.scan import pixel_hash, scan
from gliascope.io.scales import SINGLE_SLICE_NOTE, scale_by_percentiles
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.reports.pages.pictures import Album
from gliascope.runtime import process_pool, resumable_map
from gliascope.runtime.folder_lock import file_lock
from gliascope.store.store import store

LESIONS = (6, 7, 8)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "made").mkdir()
    return Make(tmp_path / "made")


@pytest.fixture
def series(make: Make, tmp_path: Path) -> tuple[Path, np.ndarray]:
    """A source whose series is parted by class, and beside it pictures; and the volume."""
    volume = volumes.head()
    for index in range(len(volume)):
        label = "glioma" if index in LESIONS else "no_tumor"
        one = volumes.instance(make, volume, index)
        volumes.save(make, one, tmp_path / "source" / label / f"{index:02}.dcm")
    for number, label in enumerate(("glioma", "no_tumor")):
        picture = np.full((9, 9), 40 * number, np.uint8)
        picture[2:5, 3:7] = 200
        Image.fromarray(picture).save(tmp_path / "source" / label / "picture.png")
    return tmp_path / "source", volume


def hashes(catalog: Catalog) -> dict[str, str]:
    frame = catalog.frame.filter(pl.col("format") == "dicom")
    return {path[-6:]: hash_ for path, hash_ in frame.select("path", "pixel_hash").iter_rows()}


def expected(volume: np.ndarray) -> dict[str, str]:
    array = scale_by_percentiles(Path("array"), list(volume))
    return {f"{index:02}.dcm": pixel_hash(one) for index, one in enumerate(array)}


def test_a_series_parted_by_class_has_one_scale(series: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    source, volume = series
    catalog = scan([source])
    assert hashes(catalog) == expected(volume)
    dicom = catalog.frame.filter(pl.col("format") == "dicom")
    assert dicom["series"].n_unique() == 1
    assert dicom["scale"].n_unique() == 1
    assert dicom["notes"].null_count() == dicom.height
    pictures = catalog.frame.filter(pl.col("format") == "png")
    assert pictures["scale"].null_count() == pictures["series"].null_count() == 2
    assert catalog.frame["path"].to_list() == sorted(catalog.frame["path"].to_list())
    # Thumbnails are those of the slices as they are now, and no others.
    assert catalog.with_thumbnails().height == catalog.frame.height
    assert sum(table.height for table in catalog.thumbnails()) == catalog.frame.height
    catalog.write(tmp_path / "catalog.parquet")
    assert Catalog.load(tmp_path / "catalog.parquet").frame.equals(catalog.frame)


def test_the_same_volume_as_nifti_has_the_same_hashes(
    series: tuple[Path, np.ndarray], make: Make, tmp_path: Path
) -> None:
    source, volume = series
    volumes.move(volumes.nifti(make, volume), tmp_path / "other" / "glioma" / "volume.nii")
    catalog = scan([source, tmp_path / "other"])
    nifti = catalog.frame.filter(pl.col("format") == "nifti").sort("index")["pixel_hash"].to_list()
    assert nifti == list(expected(volume).values())
    assert set(nifti) == set(hashes(catalog).values())


@pytest.mark.parametrize("files", [1, 3, 100])
def test_blocks_change_nothing(
    series: tuple[Path, np.ndarray], files: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", files)
    source, volume = series
    assert hashes(scan([source])) == expected(volume)


def test_processes_change_nothing(series: tuple[Path, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 3)
    monkeypatch.setattr(process_pool, "MIN_FILES", 1)
    monkeypatch.setenv("GLIASCOPE_CORES", "2")
    source, volume = series
    assert hashes(scan([source])) == expected(volume)


def test_order_and_names_change_nothing(series: tuple[Path, np.ndarray]) -> None:
    source, volume = series
    for path in sorted(source.rglob("*.dcm")):
        path.rename(path.with_name(f"{97 * int(path.stem) % 13:02}-{path.name}"))
    assert hashes(scan([source])) == expected(volume)


@pytest.mark.parametrize("after", [1, 4, 6, 8])
def test_an_interruption_changes_nothing(
    series: tuple[Path, np.ndarray], after: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 3)
    monkeypatch.setenv("GLIASCOPE_CORES", "1")
    source, volume = series
    save, saved = resumable_map._save, []

    def interrupted(path: Path, content: bytes) -> None:
        if len(saved) == after:
            raise KeyboardInterrupt
        saved.append(path)
        save(path, content)

    out = tmp_path / "catalog.parquet"
    monkeypatch.setattr(resumable_map, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt), file_lock(out) as kept:
        scan([source], resume_folder=kept)
    monkeypatch.setattr(
        resumable_map, "_save", lambda path, content: (saved.append(path), save(path, content))
    )
    with file_lock(out) as kept:
        catalog = scan([source], resume_folder=kept)
        assert catalog.with_thumbnails().height == catalog.frame.height
    assert hashes(catalog) == expected(volume)
    assert len(saved) == len(set(saved))  # nothing was done twice


def test_whatever_reads_a_slice_again_reads_it_so(series: tuple[Path, np.ndarray], tmp_path: Path) -> None:
    source, _ = series
    catalog = scan([source])
    for row in catalog.frame.iter_rows(named=True):
        again = read_catalogued(*(row[name] for name in FILE_COLUMNS))
        assert pixel_hash(again[row["index"]].pixels) == row["pixel_hash"]
    assert not len(store(catalog.frame, Preprocessing(size=16)).missing)
    assert len({Album(catalog.with_thumbnails())[row].image for row in range(catalog.frame.height)}) > 10
    export_dataset(catalog, tmp_path / "export")
    exported = scan([tmp_path / "export"])
    assert set(exported.frame["pixel_hash"]) == set(catalog.frame["pixel_hash"])


def test_what_has_one_window_is_read_once(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = volumes.head()
    for index in range(len(volume)):
        one = volumes.instance(make, volume, index, WindowCenter=500, WindowWidth=1000)
        label = "glioma" if index in LESIONS else "no_tumor"
        volumes.save(make, one, tmp_path / "source" / label / f"{index:02}.dcm")
    count = _counted(monkeypatch)
    catalog = scan([tmp_path / "source"])
    assert catalog.frame["scale"].null_count() == catalog.frame.height == len(volume)
    assert count() == len(volume)
    assert catalog.frame["notes"].null_count() == len(volume)


def test_one_slice_of_a_series_is_noted(
    make: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for label, index in (("glioma", 7), ("no_tumor", 3)):
        one = volumes.instance(make, volumes.head(), index, SeriesInstanceUID=f"1.2.{index}")
        volumes.save(make, one, tmp_path / "source" / label / "a.dcm")
    assert scan([tmp_path / "source"]).frame["notes"].to_list() == [SINGLE_SLICE_NOTE, SINGLE_SLICE_NOTE]
    assert f"2 slices, source/glioma/a.dcm first: {SINGLE_SLICE_NOTE}" in " ".join(
        capsys.readouterr().err.split()
    )


def test_pictures_are_read_once(make_source: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    count = _counted(monkeypatch)
    scan([make_source({"yes": 4, "no": 3})])
    assert count() == 7


def _counted(monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    import gliascope.dataset.scan as module

    read, files = module.read, list[Path]()

    def counting(path: Path, *scale: object) -> object:
        files.append(path)
        return read(path, *scale)

    monkeypatch.setattr(module, "read", counting)
    return lambda: len(files)


def test_deep_pictures_of_a_patient_parted_by_class_have_one_scale(tmp_path: Path) -> None:
    volume = volumes.head()
    for index, one in enumerate(volume):
        label = "glioma" if index in LESIONS else "no_tumor"
        for patient, factor in (("p1", 1), ("p2", 3), ("p3", 5)):
            folder = tmp_path / "source" / label / patient
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(one * factor).save(folder / f"{index:02}.png")
    frame = scan([tmp_path / "source"]).frame
    array = [pixel_hash(one) for one in scale_by_percentiles(Path("array"), list(volume))]
    for patient in ("p1", "p2", "p3"):
        rows = frame.filter(pl.col("path").str.contains(f"/{patient}/")).sort(pl.col("path").str.slice(-6))
        assert rows["pixel_hash"].to_list() == array
        assert rows["series"].n_unique() == 1
    assert frame["series"].n_unique() == 3
