import pytest

from gliascope.classes import ALIASES, canonical_class, check_tumor_kinds, describe_classes, normalise_name
from gliascope.errors import LayoutError


def test_tumor_beside_its_kinds_is_refused() -> None:
    with pytest.raises(LayoutError, match="glioma: tumor"):
        check_tumor_kinds({"tumor", "glioma", "no_tumor"})
    check_tumor_kinds({"tumor", "no_tumor"})


def test_every_class_we_know_is_described_in_a_sentence_or_two() -> None:
    described = describe_classes([*ALIASES, "abscess"])
    assert list(described) == list(ALIASES)
    for text in described.values():
        assert 1 <= text.count(". ") + text.endswith(".") <= 2


def test_no_two_names_collapse_into_one() -> None:
    names = [
        "胶质瘤", "脑膜瘤", "垂体瘤", "MGMT", "MGMT+", "MGMT-", "-1", "1", "+1", "_", "__", "-", "🧠", "🩻", "Ｇlioma",
        "glioma", "tümör", "tumor", "İ", "i", "ı", "a/b", "ab", "C#", "C", "C++", "(1)", "%", "?", "grade 1.2", "grade 12",
    ]  # fmt: skip
    assert len(set(map(normalise_name, names))) == len(names)
    assert len(set(map(canonical_class, names))) == len(names)
