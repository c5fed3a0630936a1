import polars as pl
import pytest

from gliascope.splits.split import Split
from gliascope.splits.validation import divide_validation, exclude_calibrating, validation_roles

# part, group, pixels, half that calibrates
ROWS = [
    ("train", 0, "a", True),
    ("train", 1, "blank", False),
    ("val", 0, "b", True),  # of a patient who trained
    ("val", 2, "a", True),  # a copy that no group knows of
    ("val", 3, "blank", True),  # a slice of one grey, as any volume may hold
    ("val", 3, "c", True),
    ("val", 4, "d", False),
    ("val", 5, "e", True),
    ("test", 6, "f", True),
]


def frame(rows: list[tuple] = ROWS) -> pl.DataFrame:
    made = pl.DataFrame(rows, ["subset", "group", "pixel_hash", "calibrates"], orient="row")
    return made.with_columns(
        source=pl.lit("s"), path=pl.int_range(pl.len()).cast(pl.String), index=pl.lit(0), label=pl.lit("x")
    )


def test_what_trained_calibrates_nothing_by_group_and_by_pixels() -> None:
    found = divide_validation(frame(), selects=False)
    assert found.calibrating["pixel_hash"].to_list() == ["c", "d", "e"]
    assert found.dropped["pixel_hash"].to_list() == ["b", "a", "blank"]
    assert found.choosing.is_empty()
    assert found.counts.model_dump() == {
        "chose": {"slices": 0, "groups": 0},
        "calibrated": {"slices": 3, "groups": 3},
        "dropped": {"slices": 3, "groups": 2},  # group 3 lost a blank slice and still calibrates
    }
    assert exclude_calibrating(frame(), selects=False).equals(frame())


def test_where_something_is_chosen_one_half_of_the_groups_calibrates_and_is_not_seen() -> None:
    found = divide_validation(frame(), selects=True)
    assert found.calibrating["pixel_hash"].to_list() == ["c", "e"]
    assert found.choosing["pixel_hash"].to_list() == ["d"]
    assert found.dropped["pixel_hash"].to_list() == ["b", "a", "blank"]
    seen = exclude_calibrating(frame(), selects=True)
    assert seen.filter(subset="val").equals(found.choosing)
    assert seen.filter(pl.col("subset") != "val").height == 3


def test_a_group_of_the_half_that_calibrates_does_not_choose_where_it_trained() -> None:
    """Else it would calibrate, under another protocol, what `tune` chose by it under this one."""
    copied = [row for row in ROWS if row[:2] != ("val", 4)] + [("val", 1, "g", False)]
    found = divide_validation(frame(copied), selects=True)
    assert found.choosing["pixel_hash"].to_list() == ["g"]  # it trained as well, and is of the other half
    assert not found.choosing["calibrates"].any()
    assert exclude_calibrating(frame(copied), selects=True).filter(subset="val")["pixel_hash"].to_list() == [
        "g"
    ]


def test_something_has_to_choose_where_all_groups_are_of_the_other_half() -> None:
    few = frame([row for row in ROWS if row[0] != "val" or row[1] == 5])
    assert divide_validation(few, selects=True).calibrating.is_empty()
    assert divide_validation(few, selects=True).choosing.height == 1
    assert divide_validation(few, selects=False).calibrating.height == 1


@pytest.mark.parametrize("chooses", [True, False])
def test_every_validation_slice_has_one_use_and_no_other_slice_has_any(chooses: bool) -> None:
    found = validation_roles(frame(), chooses)
    assert (found.is_null() == (frame()["subset"] != "val")).all()


def test_a_training_is_another_where_another_half_or_copies_are_known() -> None:
    """A run is calibrated once: it does not serve a split that knows of copies which it did not."""
    one = Split(frame())
    more = frame().with_columns(group=pl.when(pixel_hash="e").then(0).otherwise("group"))
    assert Split(more).training_hash != one.training_hash
    assert Split(frame().with_columns(calibrates=~pl.col("calibrates"))).training_hash != one.training_hash
    tested = frame().with_columns(calibrates=pl.col("calibrates") & (pl.col("subset") != "test"))
    assert Split(tested).training_hash == one.training_hash
