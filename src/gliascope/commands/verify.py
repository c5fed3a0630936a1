"""Predict the test slices of a run again and compare with the recorded predictions."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.commands.predictions import PREDICTIONS_FILE, SLICE_KEY, load_predictions, to_scores
from gliascope.commands.run_splits import first_splits_of_run
from gliascope.commands.runs import protocol_report_of
from gliascope.dataset.catalog import FILE_COLUMNS, Catalog, read_catalogued
from gliascope.dataset.scan import pixel_hash
from gliascope.errors import ReadError, RunError
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.preprocessing.preprocess import Preprocessing, preprocess
from gliascope.recipes.run import Run
from gliascope.runtime.executors import map_with_progress

TOLERANCE = 1e-4  # of a probability, for rounding differs between machines and versions
BATCH = 32


@dataclass(frozen=True, slots=True)
class _File:
    """A file with test slices, and their rows in the table of predictions."""

    root: str | None
    path: str
    scale: str | None
    indices: list[int]
    hashes: list[str]
    rows: list[int]


@dataclass(slots=True)
class Verification:
    """The result of `verify`.

    Parameters
    ----------
    slices
        Number of test slices.
    difference
        Largest difference between a recorded and a new probability.
    accuracy
        Accuracy as recorded and now, over the slices that can still be read.
    lost_files
        Files that are missing or have changed, with the reason.
    mismatches
        Everything else that differs from the record.
    """

    slices: int
    difference: float = 0.0
    accuracy: tuple[float, float] | None = None
    lost_files: dict[str, str] = field(default_factory=dict)
    mismatches: list[str] = field(default_factory=list)

    @property
    def agrees(self) -> bool:
        """Whether every slice could be read and everything is as recorded."""
        return not self.lost_files and not self.mismatches and self.difference <= TOLERANCE


def verify(
    folder: Path, catalog: Path | None = None, split: Path | None = None, predictions: Path | None = None
) -> Verification:
    """Read the test slices of a run again, predict them, and compare with what `evaluate` recorded.

    Parameters
    ----------
    folder
        The folder of a finished run.
    catalog, split, predictions
        The files that belong to the run; by default those beside it.

    Returns
    -------
    Verification
        The differences.

    Raises
    ------
    RunError
        If one of the files is missing or lacks test slices, or the run is unfinished.
    """
    trained = Run.load(folder)
    trained.check_finished()
    scanned = Catalog.load(trained.input_path("catalog.parquet", catalog))
    served = first_splits_of_run(trained, split, scanned)
    own = next((one for one in served if one.protocol == trained.record.protocol), served[0])
    own = own.for_task(trained.recipe.task)
    recorded = load_predictions(trained.input_path(PREDICTIONS_FILE, predictions))
    recorded = recorded.filter(protocol=own.protocol, fold_name=own.fold_name)
    key = SLICE_KEY[1:]
    rows = own.subset("test").select(*key, "source").join(recorded, on=[*key, "source"], how="inner")
    if rows.height != own.subset("test").height:
        raise RunError(
            f"{PREDICTIONS_FILE}: holds {rows.height} of the {own.subset('test').height} "
            f"test slices of {folder}"
        )
    result = Verification(rows.height)
    if trained.record.data.get("test", own.subset_hashes["test"]) != own.subset_hashes["test"]:
        result.mismatches.append("the split's test slices are not those of the run's record")
    roots = scanned.frame.select(*dict.fromkeys([*key, *FILE_COLUMNS])).unique(key)
    rows = rows.join(roots, on=key, how="left", maintain_order="left")
    _compare(Bundle.load(trained.model), rows, result)
    _compare_report(trained, recorded, result)
    return result


def _compare(bundle: Bundle, rows: pl.DataFrame, result: Verification) -> None:
    """Predict the rows again and add the differences to the result."""
    numbers: list[int] = []
    pixels: list[NDArray[np.uint8]] = []
    grouped = rows.with_row_index("row").group_by(FILE_COLUMNS, maintain_order=True)
    files = [_File(*row) for row in grouped.agg("index", "pixel_hash", "row").iter_rows()]
    work = partial(_read, wanted=bundle.info.preprocessing)
    for file, slices in zip(files, map_with_progress(work, files, "read"), strict=True):
        if isinstance(slices, str):
            result.lost_files[file.path] = slices
        else:
            numbers += file.rows
            pixels += slices
    if not numbers:
        return
    engine, calibrator = Engine(bundle), bundle.calibrator
    batches = []
    for start in range(0, len(pixels), BATCH):
        outputs = engine(np.stack(pixels[start : start + BATCH]))
        batches.append(calibrator.calibrated(outputs.logits) if calibrator else outputs.probabilities)
    recorded = to_scores(rows[numbers])
    now = np.concatenate(batches)
    result.difference = float(np.abs(now - recorded.probabilities).max())
    shares = [float((one.argmax(1) == recorded.labels).mean()) for one in (recorded.probabilities, now)]
    result.accuracy = (shares[0], shares[1])


def _read(file: _File, wanted: Preprocessing) -> list[NDArray[np.uint8]] | str:
    """Return the preprocessed slices of a file, or the reason why it cannot be used."""
    if file.root is None:
        return "not in the catalogue"
    try:
        items = read_catalogued(file.root, file.path, file.scale)
        slices = {item.index: item.pixels for item in items}
    except ReadError as error:
        return error.reason
    for index, expected in zip(file.indices, file.hashes, strict=True):
        if index not in slices or pixel_hash(slices[index]) != expected:
            return "changed"
    return [preprocess(slices[index], wanted) for index in file.indices]


def _compare_report(trained: Run, recorded: pl.DataFrame, result: Verification) -> None:
    """Compare the accuracy of the report with that of the recorded predictions."""
    report = protocol_report_of(trained)
    if report is None or report.folds is not None:  # its accuracy is over the models of all folds
        return
    scores = to_scores(recorded)
    accuracy = float((scores.predictions == scores.labels).mean())
    stated = report.accuracy.value or 0.0
    if abs(stated - accuracy) > 1e-9:
        result.mismatches.append(
            f"the report states accuracy {stated:.4f}, {PREDICTIONS_FILE} {accuracy:.4f}"
        )
