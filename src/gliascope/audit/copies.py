"""Near copies among distinct slices: plain, mirrored, turned, without their border, or cropped."""

import numpy as np
import polars as pl

from gliascope.audit.index import make_search
from gliascope.audit.registration import find_crops
from gliascope.audit.result import PAIRS_SCHEMA
from gliascope.audit.search import Pairs
from gliascope.audit.vectors import TRANSFORMS, Pixels, batches
from gliascope.dataset.scan import THUMBNAIL_SIZE
from gliascope.runtime.progress import progress

THRESHOLD = 0.98  # correlation of two 64 x 64 thumbnails


def find_near_copies(
    distinct: pl.DataFrame, threshold: float = THRESHOLD, doubt: float = 0.0
) -> tuple[pl.DataFrame, float | None]:
    """Find pairs of slices that show the same picture.

    A pair gets the first of these transforms that brings it to the threshold: none; mirrored or turned; the
    same without the black border; one slice registered inside the other.

    Parameters
    ----------
    distinct
        Catalogue rows with columns pixel_hash, thumbnail and head_thumbnail; all pixel hashes different.
    threshold
        Least correlation of a pair.
    doubt
        Also return pairs whose correlation is below the threshold by at most this much.

    Returns
    -------
    pairs
        In the columns of `result.PAIRS_SCHEMA`; `cut` is false everywhere.
    recall
        Share of all untransformed pairs that were found: 1 if all pairs were compared, estimated on a sample
        if an index was used, None if that sample is in no pair.
    """
    distinct = distinct.sort("pixel_hash")
    hashes = distinct["pixel_hash"]
    lowest = threshold - doubt
    # The images are unpacked anew for each search: two sets of them at once would fill the memory.
    found, recall = _search_all_transforms(thumbnail_array(distinct["thumbnail"]), "", lowest)
    found += [
        ("crop" if name == "none" else f"crop, {name}", pairs)
        for name, pairs in _search_all_transforms(
            thumbnail_array(distinct["head_thumbnail"]), " without border", lowest
        )[0]
    ]
    found.append(("crop", find_crops(thumbnail_array(distinct["thumbnail"]), lowest)))
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


def thumbnail_array(thumbnails: pl.Series) -> Pixels:
    """Unpack a column of thumbnails, Binary (n,) of 4,096 bytes each, to uint8 (n, 64, 64)."""
    pixels = np.empty((len(thumbnails), THUMBNAIL_SIZE, THUMBNAIL_SIZE), dtype=np.uint8)
    for batch in batches(len(thumbnails)):
        grey = np.frombuffer(b"".join(thumbnails[batch]), dtype=np.uint8)
        pixels[batch] = grey.reshape(-1, THUMBNAIL_SIZE, THUMBNAIL_SIZE)
    return pixels


def _search_all_transforms(
    thumbnails: Pixels, what: str, threshold: float
) -> tuple[list[tuple[str, Pairs]], float | None]:
    """Pairs under each transform, by its name, and the recall of the search. what: for the progress bar."""
    found = []
    with progress(f"audit: copies{what}", len(TRANSFORMS)) as advance:
        search = make_search(thumbnails)
        for name in TRANSFORMS:
            found.append((name, search.pairs(name, threshold)))
            advance(1)
        return found, search.recall(found[0][1], threshold)
