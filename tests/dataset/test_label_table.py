"""Classes that a table tells, and tables that contradict folders."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gliascope.dataset.scan import scan
from gliascope.errors import LayoutError

Make = Callable[..., Path]


def counts(sources: list[Path], labels: Path | None = None) -> dict[str, int]:
    return dict(scan(sources, labels).frame["label"].value_counts().sort("label").rows())


@pytest.fixture
def collection(make_source: Make) -> Path:
    """`Brain Tumor/Brain Tumor/000.png` … and a table beside them, without endings, of zeros and ones."""
    source = make_source({"Brain Tumor": 6}, "Brain Tumor")
    (source / "Brain Tumor.csv").write_text("Image,Class\n" + "".join(f"{n:03d},{n % 2}\n" for n in range(6)))
    return source


def test_a_collections_name_is_no_class_and_its_table_is(make_source: Make, collection: Path) -> None:
    other = make_source({"yes": 5, "no": 5}, "other", seed=1)
    with pytest.raises(LayoutError, match=r"Brain Tumor\.csv may hold the classes: give it by --labels"):
        scan([collection, other])
    with pytest.raises(LayoutError, match="unknown class folder"):
        scan([collection / "Brain Tumor", other])
    assert counts([collection, other], collection / "Brain Tumor.csv") == {"no_tumor": 8, "tumor": 8}


def test_zeros_and_ones_are_said(collection: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scan([collection], collection / "Brain Tumor.csv")
    assert "read 0 as no_tumor, 1 as tumor" in " ".join(capsys.readouterr().err.split())


def test_one_class_for_all_beside_a_table_of_several_is_an_error(make_source: Make) -> None:
    source = make_source({"Tumor": 4})
    (source / "labels.csv").write_text("Image,Class\n000,1\n001,0\n002,0\n003,1\n")
    other = make_source({"yes": 5, "no": 5}, "other", seed=1)
    with pytest.raises(LayoutError, match=r"one class for all \(tumor\), but .*labels\.csv names no_tumor"):
        scan([source, other])
    (source / "labels.csv").write_text("Image,Age\n000,50\n001,60\n")
    assert counts([source, other]) == {"no_tumor": 5, "tumor": 9}
    (source / "labels.csv").write_text("Image,Class\n000,meningioma\n001,glioma\n")  # refines, and no more
    assert counts([source, other]) == {"no_tumor": 5, "tumor": 9}
    (source / "labels.csv").write_text("Image,Class\n000,no\n001,yes\n")
    (source.parent / "l.yaml").write_text("Tumor: tumor\n")
    assert counts([source, other], source.parent / "l.yaml") == {"no_tumor": 5, "tumor": 9}


def test_names_in_any_letters(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"images": 4})
    (tmp_path / "l.csv").write_text(
        "filename;label\n000.png;胶质瘤\n001.png;脑膜瘤\n002.png;Glioma\n003.png;\n"
    )
    with pytest.raises(LayoutError, match="unknown class folder"):  # 003 has no class
        scan([source], tmp_path / "l.csv")
    (source / "images" / "003.png").unlink()
    assert counts([source], tmp_path / "l.csv") == {"glioma": 1, "胶质瘤": 1, "脑膜瘤": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "expected a column path or"),
        ("path,label\n000,1\n001,2\n", "'1' is not the name of a class"),
        (
            "path,label\n000,glioma\n000.png,no\n",
            "line 3: source/images/000.png is no here and glioma before",
        ),
        ("path,label\nx,glioma\ny,no\n", "names no file of the catalogue"),
    ],
)
def test_bad_tables_are_named(make_source: Make, tmp_path: Path, content: str, message: str) -> None:
    source = make_source({"images": 3})
    (tmp_path / "l.csv").write_text(content)
    with pytest.raises(LayoutError, match=message):
        scan([source], tmp_path / "l.csv")


def test_a_mapped_name_that_no_folder_has_is_named(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"mystery": 2, "no": 2})
    (tmp_path / "l.yaml").write_text("mystery: glioma\nmistery: tumor\n")
    with pytest.raises(LayoutError, match=r"no folder is named 'mistery'.*mystery, no"):
        scan([source], tmp_path / "l.yaml")


def test_folders_that_one_line_would_map_by_accident_are_named(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"Masse": 2, "Maße": 2, "no": 2})
    (tmp_path / "l.yaml").write_text("Masse: tumor\n", encoding="utf-8")
    with pytest.raises(LayoutError, match="would be taken for one"):
        scan([source], tmp_path / "l.yaml")


def test_three_classes_that_are_not_latin_stay_three(make_source: Make, tmp_path: Path) -> None:
    source = make_source({"胶质瘤": 2, "脑膜瘤": 3, "垂体瘤": 4, "MGMT+": 1, "MGMT-": 2})
    lines = ("胶质瘤: glioma", "脑膜瘤: meningioma", "垂体瘤: 垂体瘤", "MGMT+: MGMT+", "MGMT-: MGMT-")
    (tmp_path / "l.yaml").write_text("\n".join(lines), encoding="utf-8")
    expected = {"glioma": 2, "meningioma": 3, "垂体瘤": 4, "mgmt+": 1, "mgmt-": 2}
    assert counts([source], tmp_path / "l.yaml") == dict(sorted(expected.items()))
