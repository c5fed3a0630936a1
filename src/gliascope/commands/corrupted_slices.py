"""Test slices of a Run, and what its deployed model says of them under each disturbance."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.dataset.catalog import FILE_COLUMNS, Catalog, read_catalogued
from gliascope.dataset.scan import pixel_hash
from gliascope.errors import GliascopeError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.preprocessing.preprocess import preprocess
from gliascope.robustness.corruptions import CORRUPTIONS, disturb
from gliascope.runtime.executors import map_with_progress
from gliascope.runtime.paths import to_path
from gliascope.splits.split import Split
from gliascope.uncertainty.calibrator import Assessment, unchecked

BATCH = 16
CHANGED = "changed since the scan"
CLEAN = ("", 0.0)
CONDITIONS = (CLEAN, *((name, strength) for name, one in CORRUPTIONS.items() for strength in one.strengths))
"""Each slice as it is, then under every strength of every disturbance: names and strengths."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class CorruptedPredictions:
    """A row of `sample`, and what the model says of it under each of CONDITIONS.

    probabilities: (conditions, classes), calibrated where there is a Calibrator.
    """

    row: int
    probabilities: NDArray[np.float64]
    verdicts: list[str]


def sample_test_slices(split: Split, catalog: Catalog, limit: int, seed: int) -> pl.DataFrame:
    """At most `limit` test slices drawn by seed, in the order of the split, with the columns FILE.

    Raises GliascopeError where the catalogue lacks one.
    """
    test = split.subset("test")
    drawn = np.sort(np.random.default_rng(seed).permutation(test.height)[:limit])
    key = ["source", "path", "index"]
    known = catalog.frame.select(*dict.fromkeys([*key, *FILE_COLUMNS])).unique(key)
    found = test[drawn].join(known, on=key, how="left", maintain_order="left")
    if (missing := found.filter(pl.col("root").is_null())).height:
        raise GliascopeError(f"the catalogue lacks {missing['path'][0]}; name the split's own by --catalog")
    return found


def predict_corrupted(
    bundle: Bundle, frame: pl.DataFrame, seed: int, excluded: Counter[str]
) -> Iterator[CorruptedPredictions]:
    """What the model says of each slice of `sample`, file by file.

    Slices whose file cannot be read, or has changed, are counted in `rejects` by reason.
    """
    engine, calibrator = Engine(bundle), bundle.calibrator

    def prepare(file: tuple[list[int], str]) -> list[tuple[int, Pixels]] | str:
        try:
            slices = _slices(frame[file[0]])
        except ReadError as error:
            return error.reason
        return [
            (row, _all_conditions(pixels, bundle, seed)) for row, pixels in zip(file[0], slices, strict=True)
        ]

    def assess(pixels: Pixels) -> Assessment:
        outputs = engine(pixels)
        if calibrator:
            return calibrator.assess(outputs.logits, outputs.ood_features)
        return unchecked(outputs.logits)

    rows = frame.with_row_index("row").group_by("root", "path", maintain_order=True).agg("row")
    files = rows.select("row", "path").rows()
    for file, prepared in zip(files, map_with_progress(prepare, files, "disturb and test"), strict=True):
        if isinstance(prepared, str):
            excluded[prepared] += len(file[0])
            continue
        for row, pixels in prepared:
            said = [assess(pixels[first : first + BATCH]) for first in range(0, len(pixels), BATCH)]
            verdicts = [verdict for one in said for verdict in one.verdicts]
            yield CorruptedPredictions(row, np.concatenate([one.probabilities for one in said]), verdicts)


def corrupt(pixels: Pixels, seed: int) -> Iterator[Pixels]:
    """A slice under each of CONDITIONS; what is drawn is the same at all strengths, but another by slice."""
    own = int(np.random.default_rng((seed, int(pixel_hash(pixels), 16))).integers(2**31))
    for name, strength in CONDITIONS:
        yield disturb(name, pixels, strength, own) if name else pixels


def read_original(frame: pl.DataFrame, row: int) -> Pixels:
    """Pixels of one row of `sample`, as its file holds them. Raises ReadError."""
    return _slices(frame[[row]])[0]


def _slices(rows: pl.DataFrame) -> list[Pixels]:
    """Pixels of rows of one file, in their order. Raises ReadError also where they are not those scanned."""
    file = rows.select(FILE_COLUMNS).row(0)
    held = {item.index: item.pixels for item in read_catalogued(*file)}
    found = []
    for index, expected in rows.select("index", "pixel_hash").iter_rows():
        if index not in held or pixel_hash(held[index]) != expected:
            raise ReadError(to_path(file[0]) / file[1], CHANGED)
        found.append(held[index])
    return found


def _all_conditions(pixels: Pixels, bundle: Bundle, seed: int) -> Pixels:
    """As the graph wants them, (conditions, size, size[, 3])."""
    return np.stack([preprocess(one, bundle.info.preprocessing) for one in corrupt(pixels, seed)])
