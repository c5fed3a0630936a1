"""Predictions of a run's deployed model on corrupted test slices."""

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
from gliascope.robustness.corruptions import CORRUPTIONS, apply_corruption
from gliascope.runtime.executors import map_with_progress
from gliascope.runtime.paths import to_path
from gliascope.splits.split import Split
from gliascope.uncertainty.calibrator import Assessment, unchecked

BATCH = 16
CHANGED = "changed since the scan"
CLEAN = ("", 0.0)
CONDITIONS = (CLEAN, *((name, strength) for name, one in CORRUPTIONS.items() for strength in one.strengths))
"""(name, strength) of every corruption, after the unchanged slice."""

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class CorruptedPredictions:
    """Predictions for one slice under each of CONDITIONS.

    Parameters
    ----------
    row
        Row of the slice in the table of `sample_test_slices`.
    probabilities
        float64 (conditions, classes), calibrated if the bundle has a calibrator.
    verdicts
        One for each condition.
    """

    row: int
    probabilities: NDArray[np.float64]
    verdicts: list[str]


def sample_test_slices(split: Split, catalog: Catalog, limit: int, seed: int) -> pl.DataFrame:
    """Draw test slices at random.

    Parameters
    ----------
    split
        The split whose test subset is drawn from.
    catalog
        The catalogue of the split.
    limit
        Maximal number of slices.
    seed
        Seed of the draw.

    Returns
    -------
    polars.DataFrame
        Rows of the split, in its order, with the catalogue's FILE_COLUMNS.

    Raises
    ------
    GliascopeError
        If the catalogue lacks one of the slices.
    """
    test = split.subset("test")
    rows = np.sort(np.random.default_rng(seed).permutation(test.height)[:limit])
    key = ["source", "path", "index"]
    known = catalog.frame.select(*dict.fromkeys([*key, *FILE_COLUMNS])).unique(key)
    slices = test[rows].join(known, on=key, how="left", maintain_order="left")
    if (missing := slices.filter(pl.col("root").is_null())).height:
        raise GliascopeError(
            f"the catalogue lacks {missing['path'][0]}; name the catalogue of the split by --catalog"
        )
    return slices


def predict_corrupted(
    bundle: Bundle, frame: pl.DataFrame, seed: int, excluded: Counter[str]
) -> Iterator[CorruptedPredictions]:
    """Predict each slice under each of CONDITIONS, file by file.

    Parameters
    ----------
    bundle
        The bundle that holds the model.
    frame
        Slices, as `sample_test_slices` returns them.
    seed
        Seed of the corruptions.
    excluded
        Counts, by reason, the slices whose file cannot be read or has changed; this function adds to it.

    Yields
    ------
    CorruptedPredictions
        One for each slice that can be read.
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
    for file, prepared in zip(files, map_with_progress(prepare, files, "corrupt and test"), strict=True):
        if isinstance(prepared, str):
            excluded[prepared] += len(file[0])
            continue
        for row, pixels in prepared:
            assessments = [assess(pixels[first : first + BATCH]) for first in range(0, len(pixels), BATCH)]
            verdicts = [verdict for one in assessments for verdict in one.verdicts]
            probabilities = np.concatenate([one.probabilities for one in assessments])
            yield CorruptedPredictions(row, probabilities, verdicts)


def corrupt(pixels: Pixels, seed: int) -> Iterator[Pixels]:
    """Yield a slice under each of CONDITIONS.

    The random part of a corruption, such as its noise pattern, is the same at all strengths of one slice and
    differs between slices.
    """
    slice_seed = int(np.random.default_rng((seed, int(pixel_hash(pixels), 16))).integers(2**31))
    for name, strength in CONDITIONS:
        yield apply_corruption(name, pixels, strength, slice_seed) if name else pixels


def read_original(frame: pl.DataFrame, row: int) -> Pixels:
    """Read the pixels of one row of `sample_test_slices` from its file. Raises ReadError."""
    return _slices(frame[[row]])[0]


def _slices(rows: pl.DataFrame) -> list[Pixels]:
    """Read the pixels of rows that lie in one file.

    Raises ReadError if the file cannot be read, or its pixels are not those that were scanned.
    """
    file = rows.select(FILE_COLUMNS).row(0)
    held = {item.index: item.pixels for item in read_catalogued(*file)}
    pixels = []
    for index, expected in rows.select("index", "pixel_hash").iter_rows():
        if index not in held or pixel_hash(held[index]) != expected:
            raise ReadError(to_path(file[0]) / file[1], CHANGED)
        pixels.append(held[index])
    return pixels


def _all_conditions(pixels: Pixels, bundle: Bundle, seed: int) -> Pixels:
    """Return a slice under all conditions, preprocessed: uint8 (conditions, size, size[, 3])."""
    return np.stack([preprocess(one, bundle.info.preprocessing) for one in corrupt(pixels, seed)])
