"""What is known of patients is joined, and said."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from making import Make as MakeFiles

from gliascope.audit.run_audit import run_audit
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.groups import GroupsFile, number_groups
from gliascope.dataset.identity import PatientCount
from gliascope.dataset.scan import scan
from gliascope.reports.pages.audit import render_audit
from gliascope.splits.split import split

Make = Callable[..., Path]
CLASSES = ("glioma", "no_tumor")


def dicoms(folder: Path, patient: Callable[[int], str], study: Callable[[int], str], count: int = 12) -> Path:
    """A source of `count` slices a class; the same patients and studies in each."""
    rng = np.random.default_rng(0)
    make = MakeFiles(folder.parent)
    for label in CLASSES:
        (folder / label).mkdir(parents=True)
        for n in range(count):
            stored = rng.integers(0, 900, (32, 32), dtype=np.uint16)
            made = make.dicom(stored, PatientID=patient(n), StudyInstanceUID=study(n))
            made.rename(folder / label / f"{n:03d}.dcm")
    return folder


def parted(catalog: Catalog, of: pl.Series) -> int:
    """How many of these are in two parts of a split by groups."""
    frame = split(catalog, ["grouped"])[0].frame
    parts = frame.join(catalog.frame.select("path", "index", of=of), on=["path", "index"])
    return parts.group_by("of").agg(pl.col("subset").n_unique()).filter(pl.col("subset") > 1).height


@pytest.mark.parametrize("layout", ["{label}/{patient}", "{patient}/{label}", "Training/{label}/{patient}"])
def test_no_patient_of_a_folder_is_parted(
    make_source: Make, layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = {
        layout.format(label=label, patient=f"patient{n:02d}"): 4 for label in CLASSES for n in range(8)
    }
    catalog = scan([make_source(folders)])
    assert "8 patients of 64 slices identified by folder names" in " ".join(capsys.readouterr().err.split())
    frame = catalog.frame
    assert set(frame["patient_from"]) == {"folder"}
    assert frame["patient"].str.contains(r"^source:[0-9a-f]{16}$").all()
    assert parted(catalog, frame["path"].str.extract(r"(patient\d\d)")) == 0
    found = run_audit(catalog)
    assert found.facts.patients == {"source": {"folder": PatientCount(patients=8, slices=64)}}
    assert "8 patients of 64 slices identified by folder names" in render_audit(found, catalog)


def test_folders_can_be_refused(make_source: Make) -> None:
    source = make_source({f"{label}/patient{n:02d}": 4 for label in CLASSES for n in range(8)})
    frame = scan([source], patient_folders=False).frame
    assert frame["patient"].is_null().all() and frame["patient_from"].is_null().all()


def test_a_set_without_patients_names_none(official_source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frame = scan([official_source]).frame
    assert frame["patient"].is_null().all()
    assert "patient" not in capsys.readouterr().err


def test_a_groups_file_for_some_adds_to_what_the_files_say(tmp_path: Path) -> None:
    number = itertools.count()  # a study a slice: only the PatientID joins
    source = dicoms(tmp_path / "set", lambda n: f"P{n // 2}", lambda _: f"1.2.{next(number)}")
    lines = [
        f"set/glioma/{n:03d}.dcm,row{n}" for n in range(12)
    ]  # a name a slice: parts patients, if believed
    (tmp_path / "g.csv").write_text("\n".join(["path,group", *lines]))
    catalog = scan([source], groups=GroupsFile(tmp_path / "g.csv"))
    assert number_groups(catalog.frame).max() + 1 == 6
    assert parted(catalog, catalog.frame["patient"]) == 0


def test_a_group_of_two_sources_is_one(make_source: Make, tmp_path: Path) -> None:
    sources = [make_source({"yes": 2, "no": 2}, name, seed=seed) for seed, name in enumerate("ab")]
    (tmp_path / "g.csv").write_text("path,group\na/yes/000.png,p1\nb/yes/000.png,p1\n")
    frame = scan(sources, groups=GroupsFile(tmp_path / "g.csv")).frame
    assert number_groups(frame).max() + 1 == 7


def test_files_and_folders_join(tmp_path: Path) -> None:
    """A PatientID a visit, visits of a patient in one folder: all are of one patient."""
    source = dicoms(tmp_path / "set", lambda n: f"visit{n}", lambda n: f"1.2.{n}")
    for label in CLASSES:
        for n in range(12):
            folder = source / label / f"patient{n // 3}"
            folder.mkdir(exist_ok=True)
            (source / label / f"{n:03d}.dcm").rename(folder / f"{n:03d}.dcm")
    frame = scan([source]).frame
    assert set(frame["patient_from"]) == {"file and folder"}
    assert frame["patient"].n_unique() == 4
    assert number_groups(frame).max() + 1 == 4


@pytest.mark.parametrize("patient", ["ANON", "0", "HOSP-ANON-17"])
def test_one_identifier_for_all_gives_way_to_studies(
    tmp_path: Path, patient: str, capsys: pytest.CaptureFixture[str]
) -> None:
    catalog = scan([dicoms(tmp_path / "set", lambda _: patient, lambda n: f"1.2.{n}")])
    said = " ".join(capsys.readouterr().err.split())
    assert "24 slices carry one PatientID" in said
    assert "StudyInstanceUID tells 12 studies apart" in said
    assert catalog.frame["patient_from"].unique().to_list() == ["study"]
    assert parted(catalog, catalog.frame["study"]) == 0
    assert "StudyInstanceUID tells 12 studies apart" in render_audit(run_audit(catalog), catalog)


def test_several_placeholders_are_nobody_and_patients_with_visits_stay(tmp_path: Path) -> None:
    names = ["ANON", "Unknown", "P1", "P1"] * 3
    frame = scan([dicoms(tmp_path / "set", names.__getitem__, lambda n: f"1.2.{n}")]).frame
    assert frame.filter(patient_from="file")["patient"].n_unique() == 1
    assert frame.filter(patient_from="study")["patient"].n_unique() == 6
    assert number_groups(frame).max() + 1 == 7


def test_where_no_study_tells_apart_the_cause_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scan([dicoms(tmp_path / "set", lambda _: "ANON", lambda _: "1.2.3")])
    assert "all 24 slices carry one patient identifier, and no study" in " ".join(
        capsys.readouterr().err.split()
    )
    scan([dicoms(tmp_path / "visits", lambda _: "P1", lambda n: f"1.2.{n % 3}")])
    assert "one patient identifier, over 3 studies" in " ".join(capsys.readouterr().err.split())


def test_equal_names_of_folders_do_not_join_patients_that_files_state(tmp_path: Path) -> None:
    """Folders like ST000001 begin anew in each class."""
    source = dicoms(tmp_path / "set", lambda n: f"P{n}", lambda n: f"1.2.{n}")
    for label in CLASSES:
        for n in range(12):
            number = n if label == "glioma" else 11 - n
            folder = source / label / f"ST{number:06d}"
            folder.mkdir()
            (source / label / f"{n:03d}.dcm").rename(folder / "IM-0001-0001.dcm")
    assert number_groups(scan([source]).frame).max() + 1 == 12
