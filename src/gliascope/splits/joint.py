"""What several models have seen, as one split: what trained any of them can test none of them together."""

from collections.abc import Sequence

import polars as pl

from gliascope.errors import SplitError
from gliascope.splits.split import COLUMNS, Split
from gliascope.splits.validation import CHOOSES, validation_roles

SLICE_KEY = ["source", "path", "index"]
_FIRST = ["train", "val", "test"]  # of the parts that a slice has, the one that counts


def joint_split(splits: Sequence[Split]) -> Split:
    """The split of an ensemble whose members were trained on `splits`, which are of one protocol.

    A slice that trains one of them trains the ensemble; else it validates if it does so anywhere; what is
    left tests. So a part may be empty: folds test every slice, and train others on it. A group that may have
    chosen anything of a member does not calibrate. Raises SplitError where the splits give a slice another
    label or group: they are of different catalogues or audits.
    """
    frame = pl.concat([_without_choosing(split.frame) for split in splits])
    values = frame.group_by(SLICE_KEY, maintain_order=True).agg(pl.col("label", "group").n_unique())
    for column in ("label", "group"):
        if (different := values.filter(pl.col(column) > 1)).height:
            raise SplitError(
                f"{different.row(0)[1]} and {different.height - 1} more slices have another {column} in "
                "another member's split; join runs that were split from one catalogue and audit"
            )
    parts = pl.col("subset").cast(pl.Enum(_FIRST)).min().cast(pl.String).over(SLICE_KEY)
    calibrates = pl.col("calibrates").all().over("group")
    once = frame.with_columns(parts, calibrates, fold_name=pl.lit(""), seed=pl.lit(splits[0].seed, pl.Int64))
    return Split(once.unique(SLICE_KEY, keep="first", maintain_order=True).select(COLUMNS))


def _without_choosing(frame: pl.DataFrame) -> pl.DataFrame:
    """Count what may choose in this split to the half that does not calibrate."""
    chose = validation_roles(frame, selects=True) == CHOOSES
    return frame.with_columns(calibrates=frame["calibrates"] & ~chose.fill_null(value=False))
