"""Random draws by hashes, so that no machine, library version or row order changes them."""

import hashlib

import polars as pl

# Names one slice by its path: by its pixels, all copies of a slice would be drawn together.
SLICE_KEY = pl.concat_str("source", "path", "index", separator="\n").min()
# The smallest pixel hash of the group. Not that of a blank slice: all volumes may hold the same.
GROUP_KEY = pl.coalesce(pl.col("pixel_hash").filter(~pl.col("blank")).min(), SLICE_KEY)


def draw_position(frame: pl.DataFrame, seed: int, key: pl.Expr = GROUP_KEY) -> pl.Series:
    """Return the position of each row's group among all slices of its class, from 0 to 1.

    Groups are ordered by a hash of the seed and of their key. A group counts for its commonest label.

    Parameters
    ----------
    frame
        Catalogue rows with the columns that `key` needs, `group` and `label`.
    seed
        Another seed gives another order.
    key
        Aggregation that names a group by its content.

    Returns
    -------
    polars.Series
        Float64 (rows,). A share s of the slices of each class has positions below s.
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
    """Return which of two halves each row's group belongs to, bool (rows,).

    The half depends on a hash of the group's key alone, so it is the same under every protocol, seed and
    repeat.
    """
    groups = frame.group_by("group", maintain_order=True).agg(key=GROUP_KEY)
    half = groups.select("group", half=_hashed("half").str.slice(-1).is_in([*"02468ace"]))
    return frame.select("group").join(half, on="group", how="left", maintain_order="left")["half"]


def _hashed(salt: str) -> pl.Expr:
    """Replace the column `key` by its hash with a salt."""

    def rank(key: str) -> str:
        return hashlib.blake2b(f"{salt}:{key}".encode(), digest_size=16).hexdigest()

    return pl.col("key").map_elements(rank, return_dtype=pl.String)
