"""Draws that no machine, library version or row order can change: by hashes of what is drawn."""

import hashlib

import polars as pl

# One slice and no other, copies apart: copies in it would all be drawn alike, were they told by their pixels.
SLICE_KEY = pl.concat_str("source", "path", "index", separator="\n").min()
# The smallest pixel hash of the group. Not that of a blank slice: all volumes may hold the same.
GROUP_KEY = pl.coalesce(pl.col("pixel_hash").filter(~pl.col("blank")).min(), SLICE_KEY)


def draw_position(frame: pl.DataFrame, seed: int, key: pl.Expr = GROUP_KEY) -> pl.Series:
    """Place of each row's group, 0 to 1, in a row of all slices of the group's class.

    A group counts for its commonest label. Groups are ordered by a hash of the seed and of their key.
    """
    groups = (
        frame.group_by("group", maintain_order=True)
        .agg(size=pl.len(), key=key, label=pl.col("label").mode().min())
        .with_columns(key=_hashed(str(seed)))
        .sort("label", "key", maintain_order=True)
    )
    end = pl.col("size").cum_sum().over("label")
    middle = (end - pl.col("size") / 2) / pl.col("size").sum().over("label")
    drawn = groups.select("group", position=middle)
    return frame.select("group").join(drawn, on="group", how="left", maintain_order="left")["position"]


def hash_halves(frame: pl.DataFrame) -> pl.Series:
    """One of two halves for each row, bool: that of its group, by a hash of the group's key alone.

    A group is of the same half under every protocol, seed and repeat.
    """
    groups = frame.group_by("group", maintain_order=True).agg(key=GROUP_KEY)
    half = groups.select("group", half=_hashed("half").str.slice(-1).is_in([*"02468ace"]))
    return frame.select("group").join(half, on="group", how="left", maintain_order="left")["half"]


def _hashed(salt: str) -> pl.Expr:
    def rank(key: str) -> str:
        return hashlib.blake2b(f"{salt}:{key}".encode(), digest_size=16).hexdigest()

    return pl.col("key").map_elements(rank, return_dtype=pl.String)
