"""Findings as a folder of Parquet files, so that no process ever holds them all."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl

from gliascope.dataset.catalog import SUFFIX, check_replaceable, chunk_name, write_table
from gliascope.inference.finding import Finding
from gliascope.inference.predict import Predictor
from gliascope.io.kinds import SECONDARY_CAPTURE
from gliascope.runtime.files import atomic_folder
from gliascope.runtime.folders import printable
from gliascope.runtime.paths import to_path

ROWS_PER_FILE = 20_000  # findings; some 30 MB while they wait


def write_findings(out: Path, findings: Iterable[Finding], predictor: Predictor) -> None:
    """Write findings of slices into a new folder `out`, in order, and then those of their studies.

    It appears when all is written, and replaces an older one. Raises GliascopeError rather than replace
    anything else, and whatever `findings` does.
    """
    schema = _schema(predictor.info.classes)
    check_replaceable(out)
    with atomic_folder(out) as folder:
        number, waiting = 0, list[Finding]()
        for finding in findings:
            waiting.append(finding)
            if len(waiting) == ROWS_PER_FILE:
                _write(folder / chunk_name(number), waiting, schema)
                number, waiting = number + 1, []
        _write(folder / chunk_name(number), waiting, schema)
        _write(folder / f"studies{SUFFIX}", list(_studies(folder, predictor)), schema)


def read_findings(out: Path) -> pl.LazyFrame:
    """What `write_parts` wrote: a row a slice in the order of the files, then one a study (slice null)."""
    # By name, since a path of a user's may look like a pattern.
    return pl.scan_parquet(sorted(out.glob(f"*{SUFFIX}")), glob=False)


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
    """Of each study that several slices are of, by the first of them, as `Predictor.studies` gives them."""
    # Captures that are left are all of their study that can have a say (`data.studies.have_say`).
    ordinary = pl.col("kind").is_null() | (pl.col("kind") == SECONDARY_CAPTURE)
    named = read_findings(folder).filter(pl.col("study").is_not_null(), ordinary)
    studies = named.group_by("study", maintain_order=True).agg(
        pl.col("file").first(), "probabilities", "outlier_score", "notes"
    )
    several = studies.filter(pl.col("probabilities").list.len() > 1).collect()
    for study, file, probabilities, scores, notes in several.iter_rows():
        yield predictor.study_finding(
            [
                Finding(to_path(file), 0, study, "", told, None, score, "", tuple(said))
                for told, score, said in zip(probabilities, scores, notes, strict=True)
            ]
        )
