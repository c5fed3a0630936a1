from pathlib import Path

import pytest

from gliascope.errors import LayoutError
from gliascope.io.folder_labels import labels_of_folders, load_mapping


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("glioma", "glioma"),
        ("glioma_tumor", "glioma"),
        ("Glioma Tumor", "glioma"),
        ("GLIOMA-TUMOUR", "glioma"),
        ("meningioma_tumor", "meningioma"),
        ("pituitary", "pituitary"),
        ("Pituitary Tumor", "pituitary"),
        ("notumor", "no_tumor"),
        ("no_tumor", "no_tumor"),
        ("no", "no_tumor"),
        ("Healthy", "no_tumor"),
        ("normal", "no_tumor"),
        ("yes", "tumor"),
        ("Tumor", "tumor"),
    ],
)
def test_class_names_in_use(folder: str, label: str) -> None:
    found = labels_of_folders(("set", folder), {})
    assert (found.label, found.raw_label) == (label, folder)


@pytest.mark.parametrize(
    ("folder", "official"),
    [
        ("Training", "train"),
        ("train", "train"),
        ("Testing", "test"),
        ("test", "test"),
        ("val", "val"),
        ("valid", "val"),
        ("Validation", "val"),
    ],
)
def test_parts(folder: str, official: str) -> None:
    assert labels_of_folders(("set", folder, "yes"), {}).subset == official


def test_the_deepest_class_wins_and_the_sources_name_is_no_class() -> None:
    assert labels_of_folders(("Brain Tumor", "Training", "glioma", "patient 7"), {}).label == "glioma"
    assert labels_of_folders(("Brain Tumor", "mystery"), {}).label is None
    assert labels_of_folders(("glioma",), {}).label == "glioma"


def test_a_source_may_be_one_part() -> None:
    assert labels_of_folders(("Testing", "glioma"), {}).subset == "test"


def test_modality_from_folders() -> None:
    assert labels_of_folders(("set", "Brain Tumor CT scan Images", "Healthy"), {}).modality == "CT"
    assert labels_of_folders(("ct", "tumor"), {}).modality == "CT"
    assert labels_of_folders(("set", "MRI", "Healthy"), {}).modality == "MR"
    assert labels_of_folders(("set", "active", "Healthy"), {}).modality is None


def test_mapping_names_and_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text("Mystery_1: Glioma Tumor\nmets: metastasis\njunk: null\nno: tumor\n")
    mapping = load_mapping(file)
    assert labels_of_folders(("set", "mystery 1"), mapping).label == "glioma"
    assert labels_of_folders(("set", "METS"), mapping).label == "metastasis"
    assert labels_of_folders(("set", "junk"), mapping).excluded
    assert labels_of_folders(("set", "junk", "glioma"), mapping).excluded
    assert labels_of_folders(("set", "no"), mapping).label == "tumor"


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1]\n", "a: b: c\n"])
def test_bad_mapping_names_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(content)
    with pytest.raises(LayoutError, match=r"labels\.yaml"):
        load_mapping(file)


@pytest.mark.parametrize(
    ("folder", "key"),
    [
        ("胶质瘤", "胶质瘤"),
        ("MGMT+", "mgmt+"),
        ("MGMT-", "mgmt-"),
        ("Mu\u0308ller", "M\u00fcller"),
        ("M\u00dcLLER", "mu\u0308ller"),
        ("type-a", "Type A"),
        ("🧠", "🧠"),
        ("ورم", "ورم"),
        ("Ｇｌｉｏｍａ", "ｇｌｉｏｍａ"),
    ],
)
def test_names_are_equal_under_nfc_and_case_folding(tmp_path: Path, folder: str, key: str) -> None:
    (tmp_path / "labels.yaml").write_text(f'"{key}": first\n', encoding="utf-8")
    assert labels_of_folders(("set", folder), load_mapping(tmp_path / "labels.yaml")).label == "first"


def test_classes_may_be_named_in_any_letters(tmp_path: Path) -> None:
    names = {"胶质瘤": "胶质瘤", "脑膜瘤": "meningioma", "MGMT+": "MGMT+", "MGMT-": "MGMT-"}
    (tmp_path / "l.yaml").write_text("".join(f'"{k}": "{v}"\n' for k, v in names.items()), encoding="utf-8")
    mapping = load_mapping(tmp_path / "l.yaml")
    found = [labels_of_folders(("set", folder), mapping).label for folder in names]
    assert found == ["胶质瘤", "meningioma", "mgmt+", "mgmt-"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: glioma\na: tumor\n", "has 'a' twice"),
        ("Type_A: glioma\ntype a: tumor\n", "'Type_A' and 'type a' are one"),
        ("M\u00fc: glioma\nMu\u0308: tumor\n", "are one folder name"),
        ("a: Maße\nb: Masse\n", "'Maße' and 'Masse' would be taken for one"),
        ("a: glioma/2\n", "cannot name a class"),
        ('a: "x\\ay"\n', "cannot name a class"),
    ],
)
def test_names_that_would_be_one_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "labels.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(LayoutError, match=rf"labels\.yaml.*{message}"):
        load_mapping(tmp_path / "labels.yaml")


@pytest.mark.parametrize(
    "folders", ["glioma/no_tumor", "Training/glioma/meningioma", "yes/no", "glioma/x/healthy"]
)
def test_contradicting_folders_are_an_error_that_names_them(folders: str) -> None:
    with pytest.raises(LayoutError, match=f"set/{folders}: .* says .* and .* says"):
        labels_of_folders(("set", *folders.split("/")), {})


def test_what_refines_agrees_or_is_mapped_is_no_contradiction() -> None:
    assert labels_of_folders(("set", "tumor", "glioma"), {}).label == "glioma"
    assert labels_of_folders(("set", "glioma", "tumor"), {}).label == "glioma"
    assert labels_of_folders(("set", "glioma", "glioma_tumor"), {}).label == "glioma"
    assert labels_of_folders(("set", "Brain Tumor", "no"), {}).label == "no_tumor"
    assert labels_of_folders(("set", "glioma", "no_tumor"), {"no tumor": "no_tumor"}).label == "no_tumor"
    assert labels_of_folders(("set", "glioma", "meningioma"), {"meningioma": None}).excluded


def test_a_collection_is_no_class() -> None:
    assert labels_of_folders(("set", "Brain Tumor", "Brain Tumor"), {}).label is None
    assert labels_of_folders(("Brain Tumor", "Brain Tumor"), {}).label is None
    assert labels_of_folders(("Brain Tumor Data Set", "Brain Tumor"), {}).label == "tumor"


def test_what_is_mapped_counts_for_all_above_it_but_not_below() -> None:
    assert (
        labels_of_folders(("set", "glioma", "meningioma"), {"meningioma": "meningioma"}).label == "meningioma"
    )
    with pytest.raises(LayoutError, match="says"):
        labels_of_folders(("set", "ours", "no"), {"ours": "tumor"})
    assert labels_of_folders(("set", "ours", "glioma"), {"ours": "tumor"}).label == "glioma"
