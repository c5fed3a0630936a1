import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import polars as pl
import pytest
from heads import bordered, correlation, drawn_head, reencoded, resized
from making import Make as DicomMake
from PIL import Image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.dataset import catalog as catalog_module
from gliascope.dataset.catalog import SCHEMA, Catalog
from gliascope.dataset.groups import GroupsFile
from gliascope.dataset.scan import pixel_hash, scan
from gliascope.errors import GliascopeError, LayoutError
from gliascope.runtime import resumable_map

Make = Callable[..., Path]


def counts(catalog: Catalog, *columns: str) -> dict[tuple[str | None, ...], int]:
    return {tuple(row[:-1]): row[-1] for row in catalog.frame.group_by(columns).len().rows()}


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        (
            {"Training/glioma": 3, "Training/notumor": 2, "Testing/glioma": 1, "Testing/notumor": 1},
            {
                ("glioma", "train"): 3,
                ("no_tumor", "train"): 2,
                ("glioma", "test"): 1,
                ("no_tumor", "test"): 1,
            },
        ),
        (
            {"train/yes": 2, "train/no": 2, "valid/yes": 1, "valid/no": 1, "test/yes": 1, "test/no": 1},
            {
                (c, p): 2 if p == "train" else 1
                for c in ("tumor", "no_tumor")
                for p in ("train", "val", "test")
            },
        ),
        (
            {"Glioma Tumor": 2, "meningioma_tumor": 2, "pituitary": 1, "healthy": 1},
            {("glioma", None): 2, ("meningioma", None): 2, ("pituitary", None): 1, ("no_tumor", None): 1},
        ),
        ({"tumor": 2, "healthy": 2}, {("tumor", None): 2, ("no_tumor", None): 2}),
        (
            {"Dataset/CT images/Tumor": 1, "Dataset/CT images/Healthy": 1, "Dataset/MRI/Tumor": 1},
            {("tumor", None): 2, ("no_tumor", None): 1},
        ),
    ],
)
def test_layouts_in_the_wild(make_source: Make, tree: dict[str, int], expected: dict) -> None:
    assert counts(scan([make_source(tree)]), "label", "official") == expected


def test_a_row_says_where_the_slice_is_and_what_it_holds(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"yes": 1, "no": 1})
    catalog = scan([source])
    assert catalog.frame.schema == pl.Schema(SCHEMA)
    row = catalog.with_thumbnails().filter(pl.col("label") == "tumor").row(0, named=True)
    file = source / "yes" / "000.png"
    pixels = np.asarray(Image.open(file))
    assert Path(row["root"]) / row["path"] == file
    assert row["path"] == "source/yes/000.png"
    assert (row["source"], row["raw_label"], row["format"], row["index"]) == ("source", "yes", "png", 0)
    assert (row["height"], row["width"], row["channels"]) == (48, 48, 1)
    assert (row["mode"], row["quantisation"]) == ("L", None)
    assert row["bytes"] == file.stat().st_size
    assert row["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert row["pixel_hash"] == pixel_hash(pixels)
    small = Image.fromarray(pixels).resize((64, 64), Image.Resampling.BILINEAR)
    assert row["thumbnail"] == small.tobytes()
    assert not row["blank"]


def test_header_facts_tell_how_a_file_was_saved(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    pixels = Image.fromarray(drawn_head())
    for quality in (50, 90):
        pixels.save(source / "yes" / f"q{quality}.jpg", quality=quality)
    pixels.convert("RGB").save(source / "yes" / "rgb.png")
    pixels.convert("P").save(source / "yes" / "palette.png")
    Image.fromarray(drawn_head().astype(np.uint16) * 200).save(source / "yes" / "deep.png")
    volume = nibabel.Nifti1Image(np.random.default_rng(0).normal(100, 20, (9, 9, 2)), np.eye(4))
    nibabel.save(volume, source / "yes" / "v.nii")
    frame = scan([source]).frame
    facts = {Path(p).name: (m, q) for p, m, q in frame.select("path", "mode", "quantisation").iter_rows()}
    assert facts["q50.jpg"][0] == facts["q90.jpg"][0] == "L"
    assert facts["q50.jpg"][1] > 2 * facts["q90.jpg"][1] > 0
    with Image.open(source / "yes" / "q50.jpg") as image:
        assert facts["q50.jpg"][1] == np.mean(image.quantization[0])
    assert facts["rgb.png"] == ("RGB", None)
    assert facts["palette.png"] == ("P", None)
    assert facts["deep.png"] == ("I;16", None)
    assert facts["v.nii"] == (None, None)


def test_the_head_thumbnail_is_the_same_where_black_border_was_cut_or_added(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    head = drawn_head()
    copies = {
        "head": head,
        "cut": head[38:202, 47:163],
        "wide": bordered(head, 80, 10, 0, 120),
        "wide-jpeg": reencoded(bordered(head, 0, 0, 100, 20)),
        "cut-half": resized(head[38:202, 47:163], 0.5),
        "wide-large": resized(bordered(head, 30, 30, 10, 60), 1.5),
    }
    for name, pixels in copies.items():
        Image.fromarray(pixels).save(source / "yes" / f"{name}.png")
    Image.fromarray(np.zeros((30, 20), np.uint8)).save(source / "yes" / "blank.png")
    found = {
        Path(path).stem: [np.frombuffer(one, np.uint8) for one in pictures]
        for path, *pictures in scan([source])
        .with_thumbnails()
        .select("path", "thumbnail", "head_thumbnail")
        .iter_rows()
    }
    assert all(one.size == 64 * 64 for pictures in found.values() for one in pictures)
    assert not found["blank"][1].any()
    for name in set(copies) - {"head"}:
        whole, cropped = (correlation(found[name][n], found["head"][n]) for n in (0, 1))
        assert whole < 0.9
        assert cropped > 0.98  # what the audit calls a copy


def test_the_catalogue_survives_its_file(make_source: Make, tmp_path: Path) -> None:
    catalog = scan([make_source({"yes": 1, "no": 1})])
    catalog.write(tmp_path / "out" / "catalog.parquet")
    loaded = Catalog.load(tmp_path / "out" / "catalog.parquet")
    assert loaded.frame.equals(catalog.frame)
    assert loaded.excluded.equals(catalog.excluded)
    assert loaded.with_thumbnails().equals(catalog.with_thumbnails())


def test_thumbnails_stay_with_the_blocks_and_all_is_written_in_parts(
    make_source: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 3)
    monkeypatch.setattr(catalog_module, "ROWS_PER_FILE", 4)
    source = make_source({"yes": 6, "no": 5})
    Image.new("L", (30, 20)).save(source / "no" / "blank.png")
    (source / "no" / "damaged.png").write_bytes(b"no picture")
    whole = scan([source])
    catalog = scan([source], resume_folder=tmp_path / "kept")
    assert catalog.frame.equals(whole.frame)
    assert catalog.frame.filter(pl.col("blank"))["path"].to_list() == ["source/no/blank.png"]
    assert catalog.with_thumbnails().equals(whole.with_thumbnails())
    catalog.write(tmp_path / "catalog.parquet")
    for name in ("catalog.parquet", "catalog.thumbnails.parquet"):
        parts = sorted((tmp_path / name).iterdir())
        assert [pl.read_parquet(part).height for part in parts] == [4, 4, 4]
    shutil.rmtree(tmp_path / "kept")
    loaded = Catalog.load(tmp_path / "catalog.parquet")
    assert loaded.frame.equals(whole.frame)
    assert loaded.with_thumbnails().equals(whole.with_thumbnails())
    some = loaded.sample_slices(2)
    assert some.with_thumbnails().equals(whole.sample_slices(2).with_thumbnails())
    with pytest.raises(FileNotFoundError, match="removed while it was needed"):
        catalog.with_thumbnails()
    parts[1].unlink()
    with pytest.raises(GliascopeError, match=r"4 thumbnails are gone.*`gliascope scan`"):
        loaded.with_thumbnails()


def test_a_catalogue_replaces_nothing_but_a_catalogue(make_source: Make, tmp_path: Path) -> None:
    source, own = make_source({"yes": 2, "no": 2}), tmp_path / "own"
    own.mkdir()
    (own / "letter.txt").write_text("mine")
    with pytest.raises(GliascopeError, match=r"own: holds something else"):
        scan([source]).write(own)
    assert [path.name for path in own.iterdir()] == ["letter.txt"]
    done = CliRunner().invoke(app, ["scan", str(source), "--out", str(own)])
    assert done.exit_code == 2
    results = tmp_path / "results"  # a folder of tables is none
    scan([source]).write(results / "catalog.parquet")
    with pytest.raises(GliascopeError, match=r"results: holds something else"):
        scan([source]).write(results)
    for name in (".DS_Store", "._part-000000.parquet"):  # what systems leave
        (results / "catalog.parquet" / name).write_bytes(b"?")
    assert Catalog.load(results / "catalog.parquet").frame.height == 4
    scan([source]).write(results / "catalog.parquet")
    theirs = tmp_path / "theirs.parquet"
    pl.DataFrame({"a": [1]}).write_parquet(theirs)
    with pytest.raises(GliascopeError, match=r"theirs.parquet: lacks path"):
        scan([source]).write(theirs)
    old = tmp_path / "catalog.parquet"
    scan([source]).frame.write_parquet(old)  # once, it was one file
    assert Catalog.load(old).frame.height == 4
    scan([source]).write(old)
    scan([source]).write(old)
    assert Catalog.load(old).frame.height == 4


def test_a_catalogue_that_does_not_fit_the_disk_leaves_nothing(make_source: Make, small_disk: Path) -> None:
    catalog = scan([make_source({"yes": 200, "no": 200})])
    with pytest.raises(GliascopeError, match=r"thumbnails\.parquet.* cannot be written.*No space left"):
        catalog.write(small_disk / "catalog.parquet")
    assert not list(small_disk.iterdir())


def test_two_sources_may_hold_files_of_one_name(make_source: Make) -> None:
    sources = [make_source({"yes": 2, "no": 2}, name=name, seed=n) for n, name in enumerate("ab")]
    catalog = scan(sources)
    assert catalog.frame["path"].n_unique() == 8
    assert counts(catalog, "source") == {("a",): 4, ("b",): 4}


def test_bad_files_are_set_aside_with_reasons(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 2}, suffix="jpg")
    whole = (source / "yes" / "000.jpg").read_bytes()
    (source / "yes" / "empty.jpg").write_bytes(b"")
    (source / "yes" / "text.jpg").write_text("not a picture")
    (source / "yes" / "half.jpg").write_bytes(whole[: len(whole) // 2])
    (source / "notes.txt").write_text("outside every class folder")
    catalog = scan([source])
    assert catalog.frame.height == 4
    rejects = {
        Path(path).name: reason for path, reason in catalog.excluded.select("path", "reason").iter_rows()
    }
    assert set(rejects) == {"empty.jpg", "text.jpg", "half.jpg", "notes.txt"}
    assert all(rejects.values())


def test_what_was_read_otherwise_is_noted_once_with_a_count(
    make_source: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = make_source({"glioma": 1, "healthy": 1})
    make, values = DicomMake(source / "glioma"), np.arange(0, 1024, dtype=np.uint16).reshape(32, 32)
    for centre in (8000, 9000):
        make.dicom(values, WindowCenter=centre, WindowWidth=2)
    make.dicom(values, WindowCenter=500, WindowWidth=1000)
    catalog = scan([source])
    text = "the window shows next to nothing: passed over"
    assert catalog.frame["notes"].drop_nulls().to_list() == [text, text]
    said = " ".join(capsys.readouterr().err.split())
    assert said.count(text) == 1
    assert f"2 slices, {source.name}/glioma/file1 first: {text}" in said


def test_a_file_name_that_is_no_text_is_set_aside(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    file = source / "yes" / os.fsdecode(b"bad-\xff.png")
    file.write_bytes((source / "yes" / "000.png").read_bytes())
    catalog = scan([source])
    assert catalog.frame.height == 2
    assert catalog.excluded.select("path", "reason").row(0) == (
        "source/yes/bad-\\xff.png",
        "file name is not UTF-8",
    )


def test_linked_folders_are_entered_once(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"yes": 2, "no": 2})
    elsewhere = make_source({"yes": 3}, name="elsewhere")
    (source / "yes" / "more").symlink_to(elsewhere / "yes")
    (source / "yes" / "loop").symlink_to(source)
    assert counts(scan([source]), "label") == {("tumor",): 5, ("no_tumor",): 2}


def test_a_volume_has_a_row_for_each_slice(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    volume = np.random.default_rng(0).normal(100, 20, (20, 22, 5)).astype(np.float32)
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), source / "yes" / "volume.nii.gz")
    rows = scan([source]).frame.filter(pl.col("format") == "nifti")
    assert rows["index"].to_list() == [0, 1, 2, 3, 4]
    assert set(rows["label"]) == {"tumor"}


def test_figshare_files_carry_label_and_patient(make_source: Make, tmp_path: Path) -> None:
    source = tmp_path / "figshare"
    source.mkdir()
    for number, label in enumerate((1, 2, 3)):
        with h5py.File(source / f"{number}.mat", "w") as file:
            pixels = np.random.default_rng(number).integers(0, 4096, (16, 16)).astype(np.int16)
            file["cjdata/image"] = pixels
            file["cjdata/label"] = np.array([[float(label)]])
            file["cjdata/PID"] = np.array([[ord(c)] for c in "100360"], dtype=np.uint16)
            file["cjdata/tumorMask"] = np.zeros((16, 16), dtype=np.uint8)
    frame = scan([source]).frame
    assert frame["label"].to_list() == ["meningioma", "glioma", "pituitary"]
    assert frame["patient"].n_unique() == 1
    assert frame["patient"][0].startswith("figshare:")


@pytest.mark.parametrize("beside", [True, False])
def test_groups_are_attached(make_source: Make, tmp_path: Path, beside: bool) -> None:
    source = make_source({"yes": 2, "no": 1})
    prefix, csv = ("", source / "g.csv") if beside else ("source/", tmp_path / "elsewhere" / "g.csv")
    csv.parent.mkdir(exist_ok=True)
    csv.write_text(f"path,group,fold\n{prefix}yes/000.png,7,2\n{prefix}no/000.png,p9,1\n")
    frame = scan([source], groups=GroupsFile(csv)).frame
    by_path = {path: (group, fold) for path, group, fold in frame.select("path", "group", "fold").iter_rows()}
    assert by_path == {
        "source/no/000.png": ("p9", 1),
        "source/yes/000.png": ("7", 2),
        "source/yes/001.png": (None, None),
    }


def test_columns_of_the_groups_file_may_have_other_names(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 1})
    (source / "g.csv").write_text("image,who,k,more\nsource/yes/000.png,7,2,x\n")
    groups = GroupsFile.parse(source / "g.csv", "path=image,group=who,fold=k")
    frame = scan([source], groups=groups).frame.filter(pl.col("group").is_not_null())
    assert frame.select("path", "group", "fold").rows() == [("source/yes/000.png", "7", 2)]
    with pytest.raises(LayoutError, match="name others by --group-columns"):
        scan([source], groups=GroupsFile(source / "g.csv"))
    with pytest.raises(LayoutError, match="expected column names like"):
        GroupsFile.parse(source / "g.csv", "patient")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,patient\na,b\n", "expected columns path,group"),
        ("path,group\nnowhere.png,1\n", "matches no slice"),
        ("path,group\nyes/000.png,1\nyes/000.png,2\n", "listed twice"),
    ],
)
def test_bad_groups_name_the_remedy(make_source: Make, content: str, message: str) -> None:
    source = make_source({"yes": 1, "no": 1})
    (source / "g.csv").write_text(content)
    with pytest.raises(LayoutError, match=message):
        scan([source], groups=GroupsFile(source / "g.csv"))


def test_unknown_class_folder_lists_what_was_found_and_how_to_map_it(
    make_source: Make, tmp_path: Path
) -> None:
    source = make_source({"glioma": 1, "notumor": 1, "mystery": 2})
    with pytest.raises(LayoutError, match=r"source/mystery \(2 files\).*glioma -> glioma.*--labels"):
        scan([source])
    labels = tmp_path / "labels.yaml"
    labels.write_text("mystery: meningioma\n")
    assert counts(scan([source], labels), "label")["meningioma",] == 2
    labels.write_text("mystery: null\n")
    assert scan([source], labels).frame.height == 2


def test_layout_errors(make_source: Make, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(LayoutError, match=r"empty: no files"):
        scan([tmp_path / "empty"])
    with pytest.raises(LayoutError, match=r"nowhere: not a folder"):
        scan([tmp_path / "nowhere"])
    with pytest.raises(LayoutError, match=r"only one class \(glioma\)"):
        scan([make_source({"glioma": 2}, name="one")])
    twins = [make_source({"yes": 1, "no": 1}, name=f"{parent}/same") for parent in "ab"]
    with pytest.raises(LayoutError, match="'same'"):
        scan(twins)


def test_nothing_readable_is_an_error(tmp_path: Path) -> None:
    for name in ("yes", "no"):
        (tmp_path / "s" / name).mkdir(parents=True)
        (tmp_path / "s" / name / "a.jpg").write_bytes(b"")
    with pytest.raises(LayoutError, match="none of 2 files can be read"):
        scan([tmp_path / "s"])


def test_loading_what_is_no_catalogue_names_the_verb(tmp_path: Path) -> None:
    with pytest.raises(GliascopeError, match=r"nowhere\.parquet: not found; make it with `gliascope scan`"):
        Catalog.load(tmp_path / "nowhere.parquet")
    (tmp_path / "text.parquet").write_text("text")
    with pytest.raises(GliascopeError, match=r"text\.parquet: not a readable Parquet"):
        Catalog.load(tmp_path / "text.parquet")
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "other.parquet")
    with pytest.raises(GliascopeError, match=r"other\.parquet: lacks path"):
        Catalog.load(tmp_path / "other.parquet")


def test_a_mapping_leaves_out_classes_that_files_say(tmp_path: Path) -> None:
    source = tmp_path / "figshare"
    source.mkdir()
    for number, label in enumerate((1, 2, 3)):
        with h5py.File(source / f"{number}.mat", "w") as file:
            file["cjdata/image"] = np.random.default_rng(number).integers(0, 99, (16, 16)).astype(np.int16)
            file["cjdata/label"] = np.array([[float(label)]])
    (tmp_path / "l.yaml").write_text("Meningioma: null\n")
    assert sorted(scan([source], tmp_path / "l.yaml").frame["label"]) == ["glioma", "pituitary"]
    (tmp_path / "l.yaml").write_text("schwannoma: null\n")
    with pytest.raises(LayoutError, match="no folder is named 'schwannoma'"):
        scan([source], tmp_path / "l.yaml")


def test_a_table_whose_name_looks_like_a_pattern_is_the_one_that_is_read(make_source: Make) -> None:
    source = make_source({"yes": 1, "no": 1})
    (source / "g2.csv").write_text("path,group\nyes/000.png,wrong\n")
    (source / "g[2].csv").write_text("path,group\nyes/000.png,right\n")
    frame = scan([source], groups=GroupsFile(source / "g[2].csv")).frame
    assert frame["group"].drop_nulls().to_list() == ["right"]


def test_groups_as_spreadsheets_write_them(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 1})
    text = " Path ; Group ;Fold;more\nyes\\000.png;0012;1,0;x\n;;;\nD:\\yes\\001.png;;2;\n"
    (source / "g.csv").write_bytes(text.encode("utf-16"))
    frame = scan([source], groups=GroupsFile(source / "g.csv")).frame.filter(label="tumor")
    assert frame.select("group", "fold").rows() == [("0012", 1), (None, None)]


def test_a_file_may_be_listed_twice_where_it_says_the_same(make_source: Make) -> None:
    source = make_source({"yes": 2, "no": 1})
    (source / "g.csv").write_text("path,group\nyes/000.png,1\nsource/yes/000.png,1\n")
    assert scan([source], groups=GroupsFile(source / "g.csv")).frame["group"].count() == 1
