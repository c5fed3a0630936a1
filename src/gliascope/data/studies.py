"""Studies: which slices belong to one, and what a model's answers about slices say of the whole.

One rule, for `predict`, the server and the report: slices out of scope have no vote, and a study is out of
scope where fewer than half of its slices are in scope, because a minority would then speak for a volume that
the model mostly does not know. Nothing has been calibrated for studies yet, so that an answer about one is
`unchecked` at best.

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
FARTHEST = 1.0
"""The outlier score past which a slice, or a study, is out of scope."""
SECONDARY_CAPTURE = "secondary capture"
CAPTURE_BESIDE = ("secondary capture beside acquired slices", "its study has slices as they were acquired")
"""Reason and detail of a file that is set aside for that."""


def aggregate(
    probabilities: Floats,
    classes: Sequence[str],
    method: str | None = None,
    outlier_scores: Floats | None = None,
) -> Floats:
    """Probabilities of a study, (classes,), from those of its slices, (slices, classes).

    method: one of METHODS; None is AGGREGATION. outlier_scores: of the slices, (slices,), where they are
    known. Slices past FARTHEST have no vote. Where all are, all have one: the study is then out of scope, as
    each of its slices is.
    """
    votes = np.asarray(probabilities, dtype=np.float64)
    if outlier_scores is not None and (outlier_scores <= FARTHEST).any():
        votes = votes[outlier_scores <= FARTHEST]
    absent = classes.index(NO_TUMOR) if NO_TUMOR in classes else None
    return METHODS[method or AGGREGATION](votes, absent)


def study_score(outlier_scores: Floats) -> float:
    """Outlier score of a study, from those of its slices, (slices,): the lower median.

    It is past FARTHEST exactly where fewer than half of the slices are in scope.
    """
    return float(np.quantile(outlier_scores, 0.5, method="inverted_cdf"))


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


def have_say(kinds: Sequence[str | None]) -> list[bool]:
    """Which slices of a study, by their `Slice.kind`, its finding is made of: the ordinary ones.

    Of a study converted from pictures, in which all are secondary captures, those.
    """
    said = None if None in kinds else SECONDARY_CAPTURE
    return [kind == said for kind in kinds]


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
DESCRIPTION = "the mean of the tenth of its slices in scope that look most like a tumour"
