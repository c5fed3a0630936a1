"""Aggregation of the probabilities of a study's slices into probabilities of the study."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from gliascope.classes import NO_TUMOR

Floats = NDArray[np.float64]


OOD_LIMIT = 1.0
"""The outlier score past which a slice, or a study, is out of scope."""


def aggregate(
    probabilities: Floats,
    classes: Sequence[str],
    method: str | None = None,
    outlier_scores: Floats | None = None,
) -> Floats:
    """Combine the probabilities of a study's slices into probabilities of the study.

    Parameters
    ----------
    probabilities
        Of each slice, (slices, classes).
    classes
        Names of the columns.
    method
        One of AGGREGATION_METHODS; None for DEFAULT_AGGREGATION.
    outlier_scores
        Of each slice, (slices,); None where they are unknown. Slices with a score above OOD_LIMIT are left
        out, unless all are above it: the study is then out of scope, as each of its slices is.

    Returns
    -------
    numpy.ndarray
        float64 (classes,).
    """
    votes = np.asarray(probabilities, dtype=np.float64)
    if outlier_scores is not None and (outlier_scores <= OOD_LIMIT).any():
        votes = votes[outlier_scores <= OOD_LIMIT]
    absent = classes.index(NO_TUMOR) if NO_TUMOR in classes else None
    return AGGREGATION_METHODS[method or DEFAULT_AGGREGATION](votes, absent)


def study_outlier_score(outlier_scores: Floats) -> float:
    """Return the outlier score of a study: the lower median of those of its slices, (slices,).

    It is above OOD_LIMIT exactly where fewer than half of the slices are in scope.
    """
    return float(np.quantile(outlier_scores, 0.5, method="inverted_cdf"))


def _mean(probabilities: Floats, absent: int | None) -> Floats:
    return np.asarray(probabilities.mean(axis=0))


def _noisy_or(probabilities: Floats, absent: int | None) -> Floats:
    """A tumour unless every slice shows none; tumour classes share that probability by their own noisy-or."""
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
    """The mean of the `slices` (or a tenth, at least one) slices most likely to show a tumour.

    Without a class `no_tumor`, those with the highest confidence.
    """
    count = max(1, round(len(probabilities) / 10)) if slices is None else slices
    likelihood = probabilities.max(axis=1) if absent is None else -probabilities[:, absent]
    return np.asarray(probabilities[np.argsort(-likelihood, kind="stable")[:count]].mean(axis=0))


AGGREGATION_METHODS: dict[str, Callable[[Floats, int | None], Floats]] = {
    "mean": _mean,
    "noisy-or": _noisy_or,
    "top-1": partial(_top, slices=1),
    "top-3": partial(_top, slices=3),
    "top tenth": _top,
}


DEFAULT_AGGREGATION = "top tenth"


AGGREGATION_DESCRIPTION = "the mean of the tenth of its slices in scope that look most like a tumour"
