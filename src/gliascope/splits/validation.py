"""What the validation subset is for: to choose an epoch or settings, or to calibrate; no slice does both.

A promise calibrated on slices that trained the model, or chose it among others, does not hold for new ones.
"""

from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from gliascope.runtime.formats import count, plural

CHOOSES, CALIBRATES, TRAINED = "chooses", "calibrates", "trained"


class SliceCount(BaseModel):
    """How many slices, in how many independent groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slices: int
    groups: int


class ValidationUse(BaseModel):
    """What validation slices did. No slice both chooses and calibrates."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chose: SliceCount = Field(description="chose the epoch, a rate or the settings")
    calibrated: SliceCount
    dropped: SliceCount = Field(
        description="cannot calibrate, since copies of them, or slices of their groups, trained; "
        "a group that still calibrates is not counted"
    )


@dataclass(frozen=True, slots=True)
class DividedValidation:
    """Rows of a validation subset by what they do; each row does one thing.

    choosing: those that may choose, none where nothing is chosen; calibrating: those that calibrate;
    dropped: those that would calibrate, had not slices of their group, or of identical pixels, trained.
    """

    choosing: pl.DataFrame
    calibrating: pl.DataFrame
    dropped: pl.DataFrame

    @property
    def counts(self) -> ValidationUse:
        """Slices and groups of each use."""
        lost = self.dropped.join(self.calibrating, on="group", how="anti")
        return ValidationUse(
            chose=_amount(self.choosing, self.choosing),
            calibrated=_amount(self.calibrating, self.calibrating),
            dropped=_amount(self.dropped, lost),
        )


def validation_roles(frame: pl.DataFrame, selects: bool) -> pl.Series:
    """What each row of a split does: one of CHOOSES, CALIBRATES and TRAINED; null outside validation.

    chooses: whether an epoch or settings are chosen on validation slices. Then the groups of one half
    (column `calibrates` of a split) choose, and those of the other calibrate; else all calibrate. If all
    groups are of the half that calibrates, all choose: something has to. TRAINED: what cannot calibrate,
    since its group or its pixels trained.
    """
    val = frame["subset"] == "val"
    train = frame.filter(pl.col("subset") == "train")
    trained = frame["group"].is_in(train["group"].unique().implode()) | frame["pixel_hash"].is_in(
        train["pixel_hash"].unique().implode()
    )
    other_half = val & ~frame["calibrates"]
    choosing = (other_half if other_half.any() else val) if selects else val & ~val
    return frame.select(
        pl.when(choosing)
        .then(pl.lit(CHOOSES))
        .when(val & trained)
        .then(pl.lit(TRAINED))
        .when(val)
        .then(pl.lit(CALIBRATES))
        .alias("use")
    ).to_series()


def divide_validation(frame: pl.DataFrame, selects: bool) -> DividedValidation:
    """Divide the validation subset of a split's frame, as `uses` says."""
    use = validation_roles(frame, selects)
    return DividedValidation(*(frame.filter(use == name) for name in (CHOOSES, CALIBRATES, TRAINED)))


def exclude_calibrating(frame: pl.DataFrame, selects: bool) -> pl.DataFrame:
    """Rows of a split's frame that training may see: where validation chooses, no others of it."""
    use = validation_roles(frame, selects)
    return frame.filter(use.is_null() | (use == CHOOSES)) if selects else frame


def _amount(slices: pl.DataFrame, groups: pl.DataFrame) -> SliceCount:
    return SliceCount(slices=slices.height, groups=groups["group"].n_unique())


def describe_validation_use(use: ValidationUse) -> str:
    """What validation slices did, in words."""
    said = f"of the validation slices, {_in_words(use.calibrated)} calibrate"
    if use.chose.slices:
        said += f"; {_in_words(use.chose)} chose the epoch, a rate or the settings, and so do not"
    if use.dropped.slices:
        said += f"; {_in_words(use.dropped)} cannot, since copies of them, or slices of their groups, trained"
    return said


def _in_words(amount: SliceCount) -> str:
    return f"{count(amount.slices)} in {count(amount.groups)} {plural('group', amount.groups)}"
