"""What the validation subset is for: to choose an epoch or settings, or to calibrate; no slice does both.

A promise calibrated on slices that trained the model, or chose it among others, does not hold for new ones.
"""

from dataclasses import dataclass

import polars as pl

CHOOSES, CALIBRATES, TRAINED = "chooses", "calibrates", "trained"
KEY = ["source", "path", "index"]


@dataclass(frozen=True, slots=True)
class Validation:
    """Rows of a validation subset by what they do.

    choosing: those that may choose, none where nothing is chosen; calibrating: those that calibrate;
    dropped: those that cannot, because slices of their group, or of identical pixels, trained. Where
    something is chosen, dropped slices may still choose.
    """

    choosing: pl.DataFrame
    calibrating: pl.DataFrame
    dropped: pl.DataFrame

    @property
    def facts(self) -> dict[str, dict[str, int]]:
        """Slices and groups of each, for JSON. A group that still calibrates counts as dropped nowhere."""
        lost = self.dropped.join(self.calibrating, on="group", how="anti")
        groups = {"chose": self.choosing, "calibrated": self.calibrating, "dropped": lost}
        slices = groups | {"dropped": self.dropped}
        return {
            name: {"slices": slices[name].height, "groups": rows["group"].n_unique()}
            for name, rows in groups.items()
        }


def uses(frame: pl.DataFrame, chooses: bool) -> pl.Series:
    """What each row of a split may do: one of CHOOSES, CALIBRATES and TRAINED; null outside validation.

    chooses: whether an epoch or settings are chosen on validation slices. Then the groups of one half
    (column `calibrates` of a split) choose, and those of the other calibrate; else all calibrate. If all
    groups were of the half that calibrates, all choose: something has to.
    """
    val = frame["part"] == "val"
    train = frame.filter(pl.col("part") == "train")
    trained = val & (
        frame["group"].is_in(train["group"].unique().implode())
        | frame["pixel_hash"].is_in(train["pixel_hash"].unique().implode())
    )
    calibrates = val & ~trained
    if chooses:
        half = calibrates & frame["calibrates"]
        calibrates = half if (val & ~half).any() else calibrates & ~calibrates
    return frame.select(
        pl.when(trained)
        .then(pl.lit(TRAINED))
        .when(calibrates)
        .then(pl.lit(CALIBRATES))
        .when(val)
        .then(pl.lit(CHOOSES))
        .alias("use")
    ).to_series()


def divide(frame: pl.DataFrame, chooses: bool) -> Validation:
    """Divide the validation subset of a split's frame, as `uses` says."""
    use = uses(frame, chooses)
    may_choose = use.is_in([CHOOSES, TRAINED]) if chooses else use == CHOOSES
    return Validation(frame.filter(may_choose), frame.filter(use == CALIBRATES), frame.filter(use == TRAINED))


def without_calibrating(frame: pl.DataFrame, chooses: bool) -> pl.DataFrame:
    """Rows of a split's frame that training may see: where validation chooses, not those that calibrate."""
    return frame.filter(uses(frame, chooses).ne_missing(CALIBRATES)) if chooses else frame
