"""Roles of validation slices: selecting an epoch or settings, or calibrating. No slice has both roles.

A promise that was calibrated on slices which trained a model, or selected it among others, does not hold for
new slices.
"""

from dataclasses import dataclass

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from gliascope.runtime.formats import count, plural

CHOOSES, CALIBRATES, TRAINED = "chooses", "calibrates", "trained"


class SliceCount(BaseModel):
    """How many slices there are, in how many independent groups."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slices: int
    groups: int


class ValidationUse(BaseModel):
    """How many validation slices had each role."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chose: SliceCount = Field(description="chose the epoch, a rate or the settings")
    calibrated: SliceCount
    dropped: SliceCount = Field(
        description="cannot calibrate, since copies of them, or slices of their groups, trained; "
        "a group that still calibrates is not counted"
    )


@dataclass(frozen=True, slots=True)
class DividedValidation:
    """Rows of a validation subset by their role; each row has one.

    Parameters
    ----------
    choosing
        Rows that may select an epoch or settings; none if nothing is selected.
    calibrating
        Rows that calibrate.
    dropped
        Rows that would calibrate if their group, or identical pixels, were not in training.
    """

    choosing: pl.DataFrame
    calibrating: pl.DataFrame
    dropped: pl.DataFrame

    @property
    def counts(self) -> ValidationUse:
        """Slices and groups of each role."""
        lost = self.dropped.join(self.calibrating, on="group", how="anti")
        return ValidationUse(
            chose=_amount(self.choosing, self.choosing),
            calibrated=_amount(self.calibrating, self.calibrating),
            dropped=_amount(self.dropped, lost),
        )


def validation_roles(frame: pl.DataFrame, selects: bool) -> pl.Series:
    """Return the role of each row of a split.

    Parameters
    ----------
    frame
        Rows of a split.
    selects
        Whether an epoch or settings are selected on validation slices. Groups of one half (column
        `calibrates` is false) then select, and those of the other half calibrate. If all groups are of the
        calibrating half, all select, because something has to. If nothing is selected, all calibrate.

    Returns
    -------
    polars.Series
        String (rows,): CHOOSES; CALIBRATES; TRAINED for rows that cannot calibrate because their group or
        their pixels are in training; null outside the validation subset.
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
    """Divide the validation subset of a split's frame by the roles of `validation_roles`."""
    use = validation_roles(frame, selects)
    return DividedValidation(*(frame.filter(use == name) for name in (CHOOSES, CALIBRATES, TRAINED)))


def exclude_calibrating(frame: pl.DataFrame, selects: bool) -> pl.DataFrame:
    """Return the rows that training may see: without calibrating rows if validation selects something."""
    use = validation_roles(frame, selects)
    return frame.filter(use.is_null() | (use == CHOOSES)) if selects else frame


def _amount(slices: pl.DataFrame, groups: pl.DataFrame) -> SliceCount:
    return SliceCount(slices=slices.height, groups=groups["group"].n_unique())


def describe_validation_use(use: ValidationUse) -> str:
    """Describe what validation slices were used for, in words."""
    text = f"of the validation slices, {_in_words(use.calibrated)} calibrate"
    if use.chose.slices:
        text += f"; {_in_words(use.chose)} chose the epoch, a rate or the settings, and so do not"
    if use.dropped.slices:
        text += f"; {_in_words(use.dropped)} cannot, since copies of them, or slices of their groups, trained"
    return text


def _in_words(amount: SliceCount) -> str:
    return f"{count(amount.slices)} in {count(amount.groups)} {plural('group', amount.groups)}"
