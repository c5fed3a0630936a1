"""What tells copies apart from slices that only look the same for want of content."""

import polars as pl


def copy_keys(frame: pl.DataFrame) -> pl.Series:
    """What tells copies: the pixel hash of each row, but null where a slice is of one grey."""
    return frame.select(pl.when(~pl.col("blank")).then("pixel_hash").alias("content")).to_series()
