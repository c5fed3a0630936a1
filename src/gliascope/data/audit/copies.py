"""Near copies among distinct slices: as they are, mirrored, turned, without their border, cropped."""

import numpy as np
import polars as pl

from gliascope.data.audit.index import make_search
from gliascope.data.audit.register import cropped_pairs
from gliascope.data.audit.result import PAIRS_SCHEMA
from gliascope.data.audit.search import Pairs
from gliascope.data.audit.vectors import TRANSFORMS, Pixels, batches
from gliascope.data.scan import THUMBNAIL
from gliascope.progress import progress

THRESHOLD = 0.98


def near_copies(
    distinct: pl.DataFrame, threshold: float = THRESHOLD, doubt: float = 0.0
) -> tuple[pl.DataFrame, float | None]:
    """Pairs (of PAIRS_SCHEMA) of the slices of `distinct`, whose pixel hashes are all different.

    A pair is found by the first of these that brings it to the threshold: the plain thumbnails; mirrored or
    turned ones; the same without the black border; one registered inside the other. With `doubt`, pairs that
    nothing brings to the threshold, but to that much less, are there, too. Beside them, the share
    of all pairs that an index was seen to find in a sample, 1 where all pairs were compared, None where the
    sample has no pair.
    """
    distinct = distinct.sort("pixel_hash")
    hashes = distinct["pixel_hash"]
    lowest = threshold - doubt
    # The images are read anew for each search: two sets of them at once are what would fill the memory.
    found, recall = _searched(images(distinct["thumbnail"]), "", lowest)
    found += [
        ("crop" if name == "none" else f"crop, {name}", pairs)
        for name, pairs in _searched(images(distinct["head_thumbnail"]), " without border", lowest)[0]
    ]
    found.append(("crop", cropped_pairs(images(distinct["thumbnail"]), lowest)))
    frames = [
        pl.DataFrame(
            {
                "a": hashes[pairs.first],
                "b": hashes[pairs.second],
                "correlation": pairs.correlation,
                "transform": [name] * len(pairs.first),
                "cut": [False] * len(pairs.first),
            },
            schema=PAIRS_SCHEMA,
        )
        for name, pairs in found
    ]
    pairs = pl.concat(frames).sort(pl.col("correlation") < threshold, maintain_order=True)
    return pairs.unique(["a", "b"], keep="first", maintain_order=True), recall


def images(thumbnails: pl.Series) -> Pixels:
    """A thumbnail column as uint8 (n, 64, 64)."""
    pixels = np.empty((len(thumbnails), THUMBNAIL, THUMBNAIL), dtype=np.uint8)
    for batch in batches(len(thumbnails)):
        grey = np.frombuffer(b"".join(thumbnails[batch]), dtype=np.uint8)
        pixels[batch] = grey.reshape(-1, THUMBNAIL, THUMBNAIL)
    return pixels


def _searched(
    thumbnails: Pixels, what: str, threshold: float
) -> tuple[list[tuple[str, Pairs]], float | None]:
    found = []
    with progress(f"audit: copies{what}", len(TRANSFORMS)) as advance:
        search = make_search(thumbnails)
        for name in TRANSFORMS:
            found.append((name, search.pairs(name, threshold)))
            advance(1)
        return found, search.recall(found[0][1], threshold)
