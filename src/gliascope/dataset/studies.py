"""Studies: which slices of a catalogue belong to one examination."""

import polars as pl


def study_keys(frame: pl.DataFrame) -> pl.Series:
    """Name the study of each row of a catalogue frame.

    The study is the one that the file states; else the file, if it holds several slices; else the patient;
    else the group of the user's table.

    Returns
    -------
    polars.Series
        String (rows,), named "study"; null if none of these is known.
    """
    file = pl.when(pl.len().over("root", "path") > 1).then(pl.lit("file:") + pl.col("path"))
    named = [pl.lit(f"{column}:") + pl.col(column) for column in ("patient", "group")]
    return frame.select(
        pl.coalesce(pl.lit("study:") + pl.col("study"), file, *named).alias("study")
    ).to_series()
