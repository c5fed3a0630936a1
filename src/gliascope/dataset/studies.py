"""Studies: which slices belong to one, and what a model's answers about slices say of the whole.

One rule, for `predict`, the server and the report: slices out of scope have no vote, and a study is out of
scope where fewer than half of its slices are in scope, because a minority would then speak for a volume that
the model mostly does not know. Nothing has been calibrated for studies yet, so that an answer about one is
`unchecked` at best.

Most slices of a whole volume show no tumour, also where there is one. So the mean over slices finds hardly
any, and noisy-or (Heckerman 1989), which takes slices for independent witnesses, finds one everywhere: it
adds up 30 small doubts. `AGGREGATION` is what was best on whole volumes; docs/trust.md has the figures.
"""

import polars as pl


def study_keys(frame: pl.DataFrame) -> pl.Series:
    """What tells the studies of a catalogue frame apart: a name for each row, null where none is known.

    The study that the file states, else the file where it holds several slices, else the patient, else the
    group of the user's own table.
    """
    file = pl.when(pl.len().over("root", "path") > 1).then(pl.lit("file:") + pl.col("path"))
    named = [pl.lit(f"{column}:") + pl.col(column) for column in ("patient", "group")]
    return frame.select(
        pl.coalesce(pl.lit("study:") + pl.col("study"), file, *named).alias("study")
    ).to_series()
