"""How the slices of a study are put together into probabilities of the study."""

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
    """Probabilities of a study, (classes,), from those of its slices, (slices, classes).

    method: one of METHODS; None is AGGREGATION. outlier_scores: of the slices, (slices,), where they are
    known. Slices past FARTHEST have no vote. Where all are, all have one: the study is then out of scope, as
    each of its slices is.
    """
    votes = np.asarray(probabilities, dtype=np.float64)
    if outlier_scores is not None and (outlier_scores <= OOD_LIMIT).any():
        votes = votes[outlier_scores <= OOD_LIMIT]
    absent = classes.index(NO_TUMOR) if NO_TUMOR in classes else None
    return AGGREGATION_METHODS[method or DEFAULT_AGGREGATION](votes, absent)


def study_outlier_score(outlier_scores: Floats) -> float:
    """Outlier score of a study, from those of its slices, (slices,): the lower median.

    It is past FARTHEST exactly where fewer than half of the slices are in scope.
    """
    return float(np.quantile(outlier_scores, 0.5, method="inverted_cdf"))


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


AGGREGATION_METHODS: dict[str, Callable[[Floats, int | None], Floats]] = {
    "mean": _mean,
    "noisy-or": _noisy_or,
    "top-1": partial(_top, slices=1),
    "top-3": partial(_top, slices=3),
    "top tenth": _top,
}


DEFAULT_AGGREGATION = "top tenth"


AGGREGATION_DESCRIPTION = "the mean of the tenth of its slices in scope that look most like a tumour"
