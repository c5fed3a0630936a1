"""Accuracy by confidence: the bins of a reliability diagram."""

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.binned import ECE_BINS, confidence_bin
from gliascope.evaluation.estimate import Estimate, FiniteOrNone, FrozenModel
from gliascope.evaluation.intervals import clopper_pearson, with_interval
from gliascope.evaluation.scores import Scores


class ModelBin(FrozenModel):
    """Confidence and accuracy of one of several models in a bin."""

    confidence: float
    accuracy: float


class ReliabilityBin(FrozenModel):
    """The slices whose top confidence lies in one bin."""

    lower: float
    upper: float
    count: int
    confidence: FiniteOrNone = Field(description="mean; null in an empty bin")
    accuracy: Estimate = Field(description="with the Clopper-Pearson interval of the bin's number of groups")
    models: tuple[ModelBin | None, ...] = Field(
        default=(), description="of several models, each one's; null where it has no slice in the bin"
    )


def reliability(scores: Scores, bins: int = ECE_BINS) -> list[ReliabilityBin]:
    """Compute the bins of a reliability diagram over the top-1 confidence.

    Where several models were tested, a bin holds the slices of all. An overconfident and an underconfident
    model then cancel each other out, so each bin also has the confidence and accuracy of each model.

    Parameters
    ----------
    scores
        The predictions of a test set.
    bins
        Number of equal-width bins.

    References
    ----------
    Niculescu-Mizil & Caruana, ICML 2005.
    """
    index = confidence_bin(scores.confidences, bins)
    found = []
    for number in range(bins):
        inside = index == number
        count, groups = int(inside.sum()), len(np.unique(scores.group_codes[inside]))
        value = float(scores.correct[inside].mean()) if count else np.nan
        interval = clopper_pearson(value * groups, groups) if count else None
        several = scores.rows_by_model if scores.model_count > 1 else []
        found.append(
            ReliabilityBin(
                lower=number / bins,
                upper=(number + 1) / bins,
                count=count,
                confidence=float(scores.confidences[inside].mean()) if count else None,
                accuracy=with_interval(value, interval),
                models=tuple(_bin_of(scores, model[inside[model]]) for model in several),
            )
        )
    return found


def _bin_of(scores: Scores, rows: NDArray[np.int64]) -> ModelBin | None:
    if not len(rows):
        return None
    return ModelBin(
        confidence=float(scores.confidences[rows].mean()), accuracy=float(scores.correct[rows].mean())
    )
