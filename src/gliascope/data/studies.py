"""Studies: which slices belong to one, and what a model's answers about slices say of the whole.

Most slices of a whole volume show no tumour, also where there is one. So the mean over slices finds hardly
any, and noisy-or (Heckerman 1989), which takes slices for independent witnesses, finds one everywhere: it
adds up 30 small doubts. `AGGREGATION` is what was best on whole volumes; docs/trust.md has the figures.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.labels import NO_TUMOR

Floats = NDArray[np.float64]


def aggregate(probabilities: Floats, classes: Sequence[str], method: str | None = None) -> Floats:
    """Probabilities of a study, (classes,), from those of its slices, (slices, classes).

    method: one of METHODS; None is AGGREGATION.
    """
    absent = classes.index(NO_TUMOR) if NO_TUMOR in classes else None
    return METHODS[method or AGGREGATION](np.asarray(probabilities, dtype=np.float64), absent)


def study_keys(frame: pl.DataFrame) -> pl.Series:
    """What tells the studies of a catalogue frame apart: a name for each row, null where none is known.

    The study that the file states, else the file where it holds several slices, else the patient, else the
    group of the user's own table.
    """
    file = pl.when(pl.len().over("root", "path") > 1).then(pl.lit("file:") + pl.col("path"))
    named = [pl.lit(f"{column}:") + pl.col(column) for column in ("patient", "group")]
    return frame.select(
        pl.coalesce(pl.lit("study:") + pl.col("study"), file, *named).alias("study")
    ).to_series()


def _mean(probabilities: Floats, absent: int | None) -> Floats:
    return np.asarray(probabilities.mean(axis=0))


def _noisy_or(probabilities: Floats, absent: int | None) -> Floats:
    """A tumour unless every slice shows none; the kinds share it as they would be found."""
    found = 1 - np.prod(1 - probabilities, axis=0)
    if absent is None:
        return np.asarray(found / found.sum())
    none = float(np.prod(probabilities[:, absent]))
    found[absent] = 0
    total = found.sum()
    found *= (1 - none) / total if total > 0 else 0
    found[absent] = none if total > 0 else 1
    return np.asarray(found)


def _top(probabilities: Floats, absent: int | None, slices: int | None = None) -> Floats:
    """The mean of those slices that look most like a tumour: so many, or a tenth, but one at least.

    Without a class for no tumour, of the surest.
    """
    count = max(1, round(len(probabilities) / 10)) if slices is None else slices
    looks = probabilities.max(axis=1) if absent is None else -probabilities[:, absent]
    return np.asarray(probabilities[np.argsort(-looks, kind="stable")[:count]].mean(axis=0))


METHODS: dict[str, Callable[[Floats, int | None], Floats]] = {
    "mean": _mean,
    "noisy-or": _noisy_or,
    "top-1": partial(_top, slices=1),
    "top-3": partial(_top, slices=3),
    "top tenth": _top,
}
AGGREGATION = "top tenth"
DESCRIPTION = "the mean of the tenth of its slices that look most like a tumour"
