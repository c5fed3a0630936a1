from pathlib import Path

import pytest

from gliascope.data.labels import ALIASES, check_vocabulary, describe, load_mapping, place
from gliascope.errors import LayoutError


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
    found = place(("set", folder), {})
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
    assert place(("set", folder, "yes"), {}).official == official


def test_the_deepest_class_wins_and_the_sources_name_is_no_class() -> None:
    assert place(("Brain Tumor", "Training", "glioma", "patient 7"), {}).label == "glioma"
    assert place(("Brain Tumor", "mystery"), {}).label is None
    assert place(("glioma",), {}).label == "glioma"


def test_a_source_may_be_one_part() -> None:
    assert place(("Testing", "glioma"), {}).official == "test"


def test_modality_from_folders() -> None:
    assert place(("set", "Brain Tumor CT scan Images", "Healthy"), {}).modality == "CT"
    assert place(("ct", "tumor"), {}).modality == "CT"
    assert place(("set", "MRI", "Healthy"), {}).modality == "MR"
    assert place(("set", "active", "Healthy"), {}).modality is None


def test_mapping_names_and_leaves_out(tmp_path: Path) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text("Mystery_1: Glioma Tumor\nmets: metastasis\njunk: null\nno: tumor\n")
    mapping = load_mapping(file)
    assert place(("set", "mystery 1"), mapping).label == "glioma"
    assert place(("set", "METS"), mapping).label == "metastasis"
    assert place(("set", "junk"), mapping).excluded
    assert place(("set", "junk", "glioma"), mapping).excluded
    assert place(("set", "no"), mapping).label == "tumor"


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [1]\n", "a: b: c\n"])
def test_bad_mapping_names_the_file(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.yaml"
    file.write_text(content)
    with pytest.raises(LayoutError, match=r"labels\.yaml"):
        load_mapping(file)


def test_tumor_beside_its_kinds_is_refused() -> None:
    with pytest.raises(LayoutError, match="glioma: tumor"):
        check_vocabulary({"tumor", "glioma", "no_tumor"})
    check_vocabulary({"tumor", "no_tumor"})


def test_every_class_we_know_is_described_in_a_sentence_or_two() -> None:
    described = describe([*ALIASES, "abscess"])
    assert list(described) == list(ALIASES)
    for text in described.values():
        assert 1 <= text.count(". ") + text.endswith(".") <= 2
