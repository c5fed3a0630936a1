import polars as pl
import pytest

from gliascope.errors import SplitError
from gliascope.splits.joint import joint_split
from gliascope.splits.split import COLUMNS, Split
from gliascope.splits.validation import divide_validation


def made(parts: str, round_: str = "", first_group: int = 0) -> Split:
    """A split of one slice a letter: t(rain), v(al), e (test), or - where it has no part."""
    names = {"t": "train", "v": "val", "e": "test"}
    rows = [
        ("grouped", round_, 3, None, True, f"{n}.png", 0, "one", "glioma" if n % 2 else "no_tumor", f"{n:032x}", first_group + n, True, names[part])
        for n, part in enumerate(parts)
        if part != "-"
    ]  # fmt: skip
    return Split(pl.DataFrame(rows, COLUMNS, orient="row"))


def parts(split: Split) -> dict[str, str]:
    return dict(split.frame.select("path", "subset").iter_rows())


def test_what_trained_any_member_trains_the_ensemble_and_what_validated_any_does_not_test_it() -> None:
    joint = joint_split([made("ttvvee"), made("tvtvtv"), made("ttttte")])
    assert "".join(part[0] for part in parts(joint).values()) == "tttttv"
    joint = joint_split([made("tvvee"), made("tvtev")])
    assert list(parts(joint).values()) == ["train", "val", "train", "test", "val"]


def test_folds_leave_nothing_to_test_on() -> None:
    folds = [made("evttt", "fold 1"), made("teevt", "fold 2"), made("vttee", "fold 3")]
    joint = joint_split(folds)
    assert set(parts(joint).values()) == {"train"}
    assert joint.fold_name == ""
    assert joint.frame.columns == COLUMNS


def test_slices_that_only_some_members_use_stay() -> None:
    assert parts(joint_split([made("tve-"), made("tv-e")])) == {
        "0.png": "train", "1.png": "val", "2.png": "test", "3.png": "test",
    }  # fmt: skip


def test_splits_of_different_audits_are_refused() -> None:
    with pytest.raises(SplitError, match=r"0\.png and 2 more slices have another group in another"):
        joint_split([made("tve"), made("tve", first_group=1)])
    other = made("tve")
    relabelled = Split(other.frame.with_columns(label=pl.lit("glioma")))
    with pytest.raises(SplitError, match="have another label"):
        joint_split([other, relabelled])


def test_what_chose_for_a_member_for_want_of_others_does_not_calibrate_the_ensemble() -> None:
    """All that validates one member is of the half that calibrates, so it chose; another has some of both."""
    halves, patients = [True, True, True, False, True], [0, 1, 1, 3, 4]
    first, second = (
        Split(
            one.frame.with_columns(
                calibrates=pl.col("group").replace_strict(dict(enumerate(halves))),
                group=pl.col("group").replace_strict(dict(enumerate(patients))),
            )
        )
        for one in (made("tv---"), made("t-vvv"))
    )
    assert divide_validation(first.frame, selects=True).choosing["group"].to_list() == [1]
    for members in ([first, second], [second, first]):
        joint = divide_validation(joint_split(members).frame, selects=True)
        assert sorted(joint.choosing["group"]) == [1, 1, 3]
        assert joint.calibrating["group"].to_list() == [4]
