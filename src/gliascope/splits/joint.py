"""The split of an ensemble: a slice that trained any member is a training slice of the ensemble."""

from collections.abc import Sequence

import polars as pl

from gliascope.errors import SplitError
from gliascope.splits.split import COLUMNS, Split
from gliascope.splits.validation import CHOOSES, validation_roles

SLICE_KEY = ["source", "path", "index"]
_FIRST = ["train", "val", "test"]  # of the subsets that a slice is in, the first counts


def joint_split(splits: Sequence[Split]) -> Split:
    """Join the splits that the members of an ensemble were trained on.

    A slice trains the ensemble if it trains any member; else it validates if it validates in any; else it
    tests. A subset may therefore be empty: under "folds" every slice is tested once and trains other members.
    Groups that may have selected anything for a member do not calibrate.

    Parameters
    ----------
    splits
        Splits of one protocol.

    Raises
    ------
    SplitError
        If a slice has another label or group in another split, because the splits are of different catalogues
        or audits.
    """
    frame = pl.concat([_without_choosing(split.frame) for split in splits])
    values = frame.group_by(SLICE_KEY, maintain_order=True).agg(pl.col("label", "group").n_unique())
    for column in ("label", "group"):
        if (different := values.filter(pl.col(column) > 1)).height:
            raise SplitError(
                f"{different.row(0)[1]} and {different.height - 1} more slices have another {column} in "
                "another member's split; join runs that were split from one catalogue and audit"
            )
    subsets = pl.col("subset").cast(pl.Enum(_FIRST)).min().cast(pl.String).over(SLICE_KEY)
    calibrates = pl.col("calibrates").all().over("group")
    once = frame.with_columns(
        subsets, calibrates, fold_name=pl.lit(""), seed=pl.lit(splits[0].seed, pl.Int64)
    )
    return Split(once.unique(SLICE_KEY, keep="first", maintain_order=True).select(COLUMNS))


def _without_choosing(frame: pl.DataFrame) -> pl.DataFrame:
    """Mark groups that select in this split as not calibrating."""
    chose = validation_roles(frame, selects=True) == CHOOSES
    return frame.with_columns(calibrates=frame["calibrates"] & ~chose.fill_null(value=False))
