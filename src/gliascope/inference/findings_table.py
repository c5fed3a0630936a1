"""Findings as a folder of Parquet files, written and read without holding all of them in memory."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from gliascope.dataset.catalog import PARQUET, check_replaceable, chunk_name, write_table
from gliascope.inference.finding import Finding
from gliascope.inference.predict import Predictor
from gliascope.io.kinds import SECONDARY_CAPTURE
from gliascope.runtime.files import atomic_folder
from gliascope.runtime.folders import printable
from gliascope.runtime.paths import to_path

ROWS_PER_FILE = 20_000  # findings, about 30 MB in memory


def write_findings(out: Path, findings: Iterable[Finding], predictor: Predictor) -> None:
    """Write findings of slices, in order, and those of their studies into a folder of Parquet files.

    Parameters
    ----------
    out
        The folder. It appears once all is written, and replaces an older folder of findings.
    findings
        One a slice; consumed once.
    predictor
        The model, which makes the findings of studies.

    Raises
    ------
    GliascopeError
        Where `out` exists and holds something else. Errors that `findings` raises are passed on.
    """
    schema = _schema(predictor.info.classes)
    check_replaceable(out)
    with atomic_folder(out) as folder:
        number, rows = 0, list[Finding]()
        for finding in findings:
            rows.append(finding)
            if len(rows) == ROWS_PER_FILE:
                _write(folder / chunk_name(number), rows, schema)
                number, rows = number + 1, []
        _write(folder / chunk_name(number), rows, schema)
        _write(folder / f"studies{PARQUET}", list(_studies(folder, predictor)), schema)


def read_findings(out: Path) -> pl.LazyFrame:
    """Read what `write_findings` wrote: a row a slice, then a row a study, whose `slice` is null."""
    # Each file by its name: Polars would take brackets in a user's path for a pattern.
    return pl.scan_parquet(sorted(out.glob(f"*{PARQUET}")), glob=False)


def _schema(classes: tuple[str, ...]) -> pl.Schema:
    return pl.Schema(
        {
            "file": pl.String(),
            "slice": pl.Int32(),
            "study": pl.String(),
            "label": pl.String(),
            "probabilities": pl.Struct(dict.fromkeys(classes, pl.Float64())),
            "prediction_set": pl.List(pl.String()),
            "outlier_score": pl.Float64(),
            "verdict": pl.String(),
            "notes": pl.List(pl.String()),
            "kind": pl.String(),
        }
    )


def _write(path: Path, findings: list[Finding], schema: pl.Schema) -> None:
    rows = [{name: getattr(one, name) for name in schema} for one in findings]
    for row in rows:
        row["file"] = printable(str(row["file"]))
    write_table(pl.DataFrame(rows, schema=schema, orient="row"), path)


def _studies(folder: Path, predictor: Predictor) -> Iterator[Finding]:
    """Yield a Finding for each study of several slices, as `Predictor.study_findings` does."""
    # Captures that were not excluded are the only slices of their study, so they count (`counted_slices`).
    ordinary = pl.col("kind").is_null() | (pl.col("kind") == SECONDARY_CAPTURE)
    named = read_findings(folder).filter(pl.col("study").is_not_null(), ordinary)
    studies = named.group_by("study", maintain_order=True).agg(
        pl.col("file").first(), "probabilities", "outlier_score", "notes"
    )
    several = studies.filter(pl.col("probabilities").list.len() > 1).collect()
    for study, file, probabilities, scores, notes in several.iter_rows():
        yield predictor.study_finding(
            [
                Finding(to_path(file), 0, study, "", of_slice, None, score, "", tuple(its_notes))
                for of_slice, score, its_notes in zip(probabilities, scores, notes, strict=True)
            ]
        )
