import errno
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import nibabel
import numpy as np
import polars as pl
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from gliascope.audit.decisions import Decisions
from gliascope.audit.result import DECISIONS_SCHEMA
from gliascope.cli import app
from gliascope.commands.export_dataset import ExportSummary, export_dataset
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.groups import GroupsFile, number_groups
from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError, LayoutError
from gliascope.io import read

Make = Callable[..., Path]
PLACE = ("pixel_hash", "label", "official", "modality")


def slices(frame: pl.DataFrame) -> Counter[tuple[str | None, ...]]:
    """The merged set: what a catalogue holds that is not set aside."""
    return Counter(frame.filter(pl.col("exclusion_reason").is_null()).select(PLACE).iter_rows())


def scan_again(out: Path, export: ExportSummary) -> Catalog:
    labels, groups = (out / name if name in export.tables else None for name in ("labels.yaml", "groups.csv"))
    return scan([out], labels, groups=GroupsFile(groups) if groups else None)


def files(out: Path) -> set[str]:
    return {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def volume(path: Path, seed: int, slices: int = 4) -> np.ndarray:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = np.random.default_rng(seed).normal(100, 20, (20, 22, slices)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    return values


@pytest.fixture
def two_sources(make_source: Make) -> list[Path]:
    """`a` has official parts, `b` has CT beside MRI; a copy within a, another in b, and a conflict."""
    parts = {f"{part}/{label}": n for part, n in (("Training", 3), ("Testing", 2)) for label in ("yes", "no")}
    a = make_source(parts, name="a")
    b = make_source({"CT scans/yes": 2, "CT scans/no": 2, "MRI/yes": 2}, name="b", seed=1)
    (a / "Training/yes/copy.png").write_bytes((a / "Testing/yes/000.png").read_bytes())
    (b / "MRI/yes/copy.png").write_bytes((a / "Training/yes/001.png").read_bytes())
    (b / "CT scans/no/wrong.png").write_bytes((a / "Training/yes/002.png").read_bytes())
    (b / "MRI/yes/broken.png").write_bytes(b"")
    return [a, b]


def test_the_tree_reads_back_unchanged(two_sources: list[Path], tmp_path: Path) -> None:
    catalog = scan(two_sources)
    out = tmp_path / "clean"
    export = export_dataset(catalog, out)
    again = scan_again(out, export).frame
    assert slices(again) == slices(catalog.frame)
    assert again["exclusion_reason"].is_null().all()
    assert "Testing/tumor/a-000.png" in files(out)
    assert "CT/no_tumor/b-001.png" in files(out)
    assert "MR/tumor/b-001.png" in files(out)
    assert export.files == {"linked": 15}
    assert export.tables == ()


def test_what_is_left_out_is_listed(two_sources: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "clean"
    export = export_dataset(scan(two_sources), out)
    listed = pl.read_csv(out / "left_out.csv")
    assert listed.rows() == export.left_out.rows()
    assert listed.columns == ["path", "index", "label", "why"]
    assert dict(listed.select("path", "why").iter_rows()) == {
        "a/Training/yes/copy.png": "copy of a/Testing/yes/000.png",
        "b/MRI/yes/copy.png": "copy of a/Training/yes/001.png",
        "a/Training/yes/002.png": "label conflict with b/CT scans/no/wrong.png",
        "b/CT scans/no/wrong.png": "label conflict with a/Training/yes/002.png",
        "b/MRI/yes/broken.png": "not read: empty file",
    }


def inodes(folder: Path) -> set[int]:
    return {path.stat().st_ino for path in folder.rglob("*.png")}


def test_files_are_linked_or_copied(
    make_source: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = make_source({"yes": 2, "no": 2})
    catalog = scan([source])
    export_dataset(catalog, tmp_path / "linked")
    assert inodes(tmp_path / "linked") == inodes(source)
    export = export_dataset(catalog, tmp_path / "copied", copy=True)
    assert export.files == {"copied": 4}
    assert not inodes(tmp_path / "copied") & inodes(source)

    def no_link(*_: object) -> None:
        raise OSError(errno.EXDEV, "on another disk")

    monkeypatch.setattr(os, "link", no_link)
    assert export_dataset(catalog, tmp_path / "other disk").files == {"copied": 4}
    assert slices(scan([tmp_path / "other disk"]).frame) == slices(catalog.frame)


def test_a_symbolic_link_gives_the_file_it_means(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"yes": 1, "no": 1})
    target = tmp_path / "elsewhere.png"
    (source / "yes/000.png").rename(target)
    (source / "yes/000.png").symlink_to(target)
    export_dataset(scan([source]), tmp_path / "out")
    linked = tmp_path / "out/tumor/source-000.png"
    assert not linked.is_symlink()
    assert linked.stat().st_ino == target.stat().st_ino


def test_names_stay_apart(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"yes/one": 1, "yes/two": 1, "no": 1})
    (source / "yes/two/000.png").rename(source / "yes/two/000.PNG")
    out = tmp_path / "out"
    export_dataset(scan([source]), out)
    assert files(out) == {
        "tumor/source-000.png",
        "tumor/source-2-000.PNG",
        "no_tumor/source-000.png",
        "left_out.csv",
    }


def test_a_volume_is_linked_once(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"no": 2})
    volume(source / "yes/head.nii.gz", 0)
    values = volume(source / "yes/other.nii.gz", 1)
    # Its last slice is a copy of its first one: set aside now, and again after.
    values[..., 3] = values[..., 0]
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), source / "yes/other.nii.gz")
    catalog = scan([source])
    assert catalog.frame["exclusion_reason"].count() == 1
    export = export_dataset(catalog, tmp_path / "out")
    assert export.files == {"linked": 4}
    assert slices(scan([tmp_path / "out"]).frame) == slices(catalog.frame)


def test_of_a_volume_that_contradicts_another_file_the_rest_is_kept(
    make_source: Make, tmp_path: Path
) -> None:
    source = make_source({"no": 2})
    volume(source / "yes/head.nii.gz", 0)
    Image.fromarray(read(source / "yes/head.nii.gz")[2].pixels).save(source / "no/wrong.png")
    catalog = scan([source])
    out = tmp_path / "out"
    export = export_dataset(catalog, out)
    assert export.files == {"linked": 2, "decoded": 3}
    assert {name for name in files(out) if name.startswith("tumor")} == {
        f"tumor/source-head.nii-{n:03d}.png" for n in (0, 1, 3)
    }
    again = scan_again(out, export).frame
    assert slices(again) == slices(catalog.frame)
    # The slices of one file stay together, though nothing in a PNG says so.
    assert len(set(number_groups(again.filter(label="tumor")))) == 1


def mat(path: Path, label: int, patient: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        random = np.random.default_rng([label, *map(ord, path.stem)])
        file["cjdata/image"] = random.integers(0, 4096, (16, 16)).astype(np.int16)
        file["cjdata/label"] = np.array([[float(label)]])
        file["cjdata/PID"] = np.array([[ord(c)] for c in patient], dtype=np.uint16)


def test_files_that_carry_their_label_are_linked_unless_it_became_another(tmp_path: Path) -> None:
    source = tmp_path / "cheng"
    for number, label in enumerate((1, 2, 2, 3)):
        mat(source / f"{number}.mat", label, f"p{number // 2}")
    labels = tmp_path / "labels.yaml"
    labels.write_text("glioma: benign\nmeningioma: benign\n")
    for given, ways in ((None, {"linked": 4}), (labels, {"decoded": 3, "linked": 1})):
        catalog = scan([source], given)
        out = tmp_path / f"out{len(ways)}"
        export = export_dataset(catalog, out)
        assert export.files == ways
        again = scan_again(out, export).frame
        assert slices(again) == slices(catalog.frame)
        ours = dict(zip(catalog.frame["pixel_hash"], number_groups(catalog.frame), strict=True))
        theirs = dict(zip(again["pixel_hash"], number_groups(again), strict=True))
        pairs = {(ours[pixels], theirs[pixels]) for pixels in ours}
        assert len(pairs) == len(set(ours.values())) == len(set(theirs.values())) == 2


def test_groups_folds_and_classes_of_ones_own_come_along(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"astro": 2, "no": 2})
    (tmp_path / "labels.yaml").write_text("astro: astrocytoma\n")
    (tmp_path / "groups.csv").write_text(
        "path,group,fold\nsource/astro/000.png,p1,3\nsource/no/000.png,p2,\n"
    )
    catalog = scan([source], tmp_path / "labels.yaml", groups=GroupsFile(tmp_path / "groups.csv"))
    out = tmp_path / "out"
    export = export_dataset(catalog, out)
    assert export.tables == ("groups.csv", "labels.yaml")
    again = scan_again(out, export).frame
    assert slices(again) == slices(catalog.frame)
    columns = ("pixel_hash", "group", "fold")
    assert sorted(again.select(columns).rows(), key=str) == sorted(
        catalog.frame.select(columns).rows(), key=str
    )


def decide(path: Path, *rows: tuple[str, int, str, str]) -> Decisions:
    """A decisions file of rows (path, index, action, new label)."""
    kinds = [
        {"kind": "suspect_label", "path": p, "index": i, "action": a, "new_label": n} for p, i, a, n in rows
    ]
    pl.DataFrame(kinds, schema=DECISIONS_SCHEMA).write_csv(path)
    return Decisions.load(path)


def test_decisions_are_applied(two_sources: list[Path], tmp_path: Path) -> None:
    catalog = scan(two_sources)
    decisions = decide(
        tmp_path / "decisions.csv",
        ("b/CT scans/no/wrong.png", 0, "relabel", "Tumour"),  # settles the conflict: now it is a copy
        ("a/Training/no/001.png", 0, "drop", ""),
        ("a/Testing/no/001.png", 0, "relabel", "yes"),
        ("a/Testing/no/000.png", 0, "keep", ""),
    )
    out = tmp_path / "clean"
    export = export_dataset(catalog, out, decisions)
    why = dict(export.left_out.select("path", "why").iter_rows())
    assert why["a/Training/no/001.png"] == "dropped by decision"
    assert why["b/CT scans/no/wrong.png"] == "copy of a/Training/yes/002.png"
    assert "a/Training/yes/002.png" not in why
    assert {"Training/tumor/a-002.png", "Testing/tumor/a-2-001.png"} <= files(out)
    assert not {"Training/no_tumor/a-001.png", "Testing/no_tumor/a-001.png"} & files(out)
    again = scan_again(out, export).frame
    assert again.height == 15
    assert again["exclusion_reason"].is_null().all()


def test_decisions_on_slices_of_one_file_take_it_apart(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"no": 2})
    volume(source / "yes/head.nii", 0)
    catalog = scan([source])
    decisions = decide(
        tmp_path / "decisions.csv",
        ("source/yes/head.nii", 0, "drop", ""),
        ("source/yes/head.nii", 3, "relabel", "no tumor"),
    )
    out = tmp_path / "out"
    export = export_dataset(catalog, out, decisions)
    assert files(out) >= {f"tumor/source-head-00{n}.png" for n in (1, 2)} | {"no_tumor/source-head-003.png"}
    again = scan_again(out, export).frame
    hashes = catalog.frame.filter(format="nifti")["pixel_hash"]
    assert set(again["pixel_hash"]) >= set(hashes[1:])
    assert hashes[0] not in set(again["pixel_hash"])
    assert len(set(number_groups(again.filter(pl.col("path").str.contains("head"))))) == 1


def test_decisions_that_mix_up_the_classes_are_refused(two_sources: list[Path], tmp_path: Path) -> None:
    decisions = decide(tmp_path / "decisions.csv", ("a/Testing/no/001.png", 0, "relabel", "glioma"))
    with pytest.raises(LayoutError, match="is no class of this catalogue"):
        export_dataset(scan(two_sources), tmp_path / "out", decisions)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_left_alone(make_source: Make, tmp_path: Path) -> None:
    catalog = scan([make_source({"yes": 1, "no": 1})])
    (tmp_path / "out").mkdir()
    export_dataset(catalog, tmp_path / "out")
    before = files(tmp_path / "out")
    with pytest.raises(GliascopeError, match="already there"):
        export_dataset(catalog, tmp_path / "out")
    assert files(tmp_path / "out") == before


def test_a_name_that_would_make_one_part_of_all_is_refused(make_source: Make, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="choose another name"):
        export_dataset(scan([make_source({"yes": 1, "no": 1})]), tmp_path / "Test")


@pytest.mark.parametrize("harm", ["gone", "changed", "changed volume"])
def test_a_source_that_changed_leaves_nothing_behind(make_source: Make, tmp_path: Path, harm: str) -> None:
    source = make_source({"yes": 2, "no": 2})
    values = volume(source / "yes/head.nii", 0)
    (source / "no/head.nii").write_bytes((source / "yes/head.nii").read_bytes())
    volume(source / "no/rest.nii", 1)
    catalog = scan([source])
    if harm == "gone":
        (source / "yes/001.png").unlink()
    elif harm == "changed":
        (source / "yes/001.png").write_bytes(b"other")
    else:
        (source / "no/head.nii").unlink()
        catalog = scan([source])
        nibabel.save(nibabel.Nifti1Image(values[:10], np.eye(4)), source / "yes/head.nii")
    with pytest.raises((GliascopeError, FileNotFoundError)):
        export_dataset(catalog, tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_the_command_says_how_to_scan_the_tree(two_sources: list[Path], tmp_path: Path) -> None:
    scan(two_sources).write(tmp_path / "catalog.parquet")
    out = tmp_path / "my clean"
    result = CliRunner().invoke(app, ["export-dataset", str(tmp_path / "catalog.parquet"), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "15 files linked" in result.output
    assert "5 left out (2 copies, 2 label conflicts, 1 not read), see left_out.csv" in result.output
    assert f"gliascope scan '{out}'" in result.output
    command = ["export-dataset", str(tmp_path / "catalog.parquet"), "--out"]
    decide(tmp_path / "d.csv", ("a/Training/no/001.png", 0, "drop", ""))
    decided = CliRunner().invoke(app, [*command, str(tmp_path / "2"), "--decisions", str(tmp_path / "d.csv")])
    assert decided.exit_code == 0, decided.output
    assert "1 dropped by decision" in decided.output
    assert "Decisions of d.csv: 1 drop; SHA-256" in decided.output
    again = CliRunner().invoke(app, [*command, str(out)])
    assert again.exit_code == 2
    assert "already there" in again.stderr


def test_what_joins_slices_joins_their_copies(make_source: Make, tmp_path: Path) -> None:
    """Some slices have a group, others a patient; who has both joins them."""
    source = make_source({f"{label}/patient{n}": 2 for label in ("glioma", "no") for n in range(3)})
    (tmp_path / "groups.csv").write_text("path,group\nglioma/patient0/000.png,g\nno/patient1/000.png,g\n")
    catalog = scan([source], groups=GroupsFile(tmp_path / "groups.csv"))
    assert number_groups(catalog.frame).max() + 1 == 2
    export = export_dataset(catalog, tmp_path / "out")
    again = scan_again(tmp_path / "out", export).frame
    assert number_groups(again).max() + 1 == 2


@pytest.mark.parametrize("name", ["x" * 234 + ".png", "ö" * 125 + ".png", "a:b?.png"])
def test_long_and_odd_file_names_are_exported_under_safe_ones(
    make_source: Make, tmp_path: Path, name: str
) -> None:
    """238 bytes are legal everywhere, but not with the source's name before them."""
    source = make_source({"yes": 2, "no": 2}, name="a source with a name of its own")
    (source / "yes" / "000.png").rename(source / "yes" / name)
    catalog = scan([source])
    for copy in (False, True):
        out = tmp_path / f"clean {copy}"
        export = export_dataset(catalog, out, copy=copy)
        again = scan_again(out, export).frame
        assert slices(again) == slices(catalog.frame)
        names = [path.name for path in out.rglob("*.png")]
        assert len(names) == 4
        assert all(len(name.encode()) <= 255 and not set(name) & set(':?"') for name in names)


def test_slices_of_a_volume_of_a_long_name_are_exported(tmp_path: Path) -> None:
    for label in ("yes", "no"):
        volume(tmp_path / "s" / label / ("ö" * 120 + label + ".nii.gz"), len(label))
    catalog = scan([tmp_path / "s"])
    frame = catalog.frame.with_columns(
        exclusion_reason=pl.when(pl.col("index") == 0)
        .then(pl.lit("label conflict with x"))
        .otherwise("exclusion_reason")
    )
    out = tmp_path / "clean"
    export = export_dataset(replace(catalog, frame=frame), out)
    assert export.files == {"decoded": 6}
    assert all(len(path.name.encode()) <= 255 for path in out.rglob("*.png"))


def test_a_class_whose_name_is_no_folder_name_keeps_its_name(make_source: Make, tmp_path: Path) -> None:
    catalog = scan([make_source({"yes": 2, "no": 2})])
    odd = "a/b: c"
    frame = catalog.frame.with_columns(label=pl.col("label").replace("tumor", odd))
    out = tmp_path / "clean"
    export_dataset(replace(catalog, frame=frame), out)
    folders = {path.name for path in out.iterdir() if path.is_dir()}
    assert len(folders) == 2
    mapping = yaml.safe_load((out / "labels.yaml").read_text(encoding="utf-8"))
    assert odd in mapping.values()
    assert set(mapping) <= folders
