"""Expected calibration errors: the gap between accuracy and confidence in each bin, on every resample.

A bin holds slices of one model alone: an overconfident and an underconfident model together would look
calibrated. The error of several models is the mean over them.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.defined import divide_or_nan, mean_defined
from gliascope.evaluation.intervals import group_draws
from gliascope.evaluation.scores import Scores

Floats = NDArray[np.float64]
ECE_BINS = 15


@dataclass(frozen=True, slots=True, eq=False)
class CalibrationGaps:
    """Correctness (0 or 1) less confidence of each slice, (n,), and the bin of each slice, (n,)."""

    gap: Floats
    bins: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSums:
    """Sums over the slices of one model within each of its groups.

    Attributes
    ----------
    groups
        Codes of the k groups, (k,).
    sums
        (k, 1 + ECE_BINS): number of slices, then the summed gap in each bin.
    """

    groups: NDArray[np.int64]
    sums: Floats


def confidence_bin(confidences: Floats, bins: int) -> NDArray[np.int64]:
    """Return the index of the equal-width bin (lower, upper] that each confidence falls into, (n,)."""
    edges = np.linspace(0, 1, bins + 1)
    return np.digitize(confidences, edges[1:-1], right=True).astype(np.int64)


def top_class_gaps(scores: Scores) -> CalibrationGaps:
    """Compute gaps of the predicted class, in bins of equal width (Guo et al. 2017)."""
    return CalibrationGaps(scores.correct - scores.confidences, confidence_bin(scores.confidences, ECE_BINS))


def binned_error(scores: Scores, gaps: list[CalibrationGaps]) -> float:
    """Compute the calibration error: the mean over models, and over `gaps` (one, or one for each class)."""
    totals = [cell.sums.sum(axis=0) for cell in _cells(scores, gaps)]
    return float(np.mean([np.abs(total[1:]).sum() / total[0] for total in totals]))


def resampled_binned_error(
    scores: Scores, gaps: list[CalibrationGaps], resamples: int, seed: int
) -> tuple[Floats, Floats]:
    """Compute `binned_error` on resampled groups, for the model as it is and as if it were calibrated.

    Parameters
    ----------
    scores
        The predictions of n slices.
    gaps
        One, or one for each class.
    resamples, seed
        Of the bootstrap over groups.

    Returns
    -------
    errors, by_chance : numpy.ndarray
        float64 (resamples,) each. The second centres the gaps of the same resamples on their mean. NaN where
        a resample has no slice of any model.
    """
    cells = _cells(scores, gaps)
    found, chance = [], []
    for draws in group_draws(scores.group_count, len(scores), resamples, seed):
        errors = [_errors(draws[:, cell.groups] @ cell.sums, cell.sums) for cell in cells]
        # Models that a resample has no slice of have no part in its mean.
        both = mean_defined(np.stack(errors, axis=-1))
        found.append(both[0])
        chance.append(both[1])
    return np.concatenate(found), np.concatenate(chance)


def _cells(scores: Scores, parts: list[CalibrationGaps]) -> list[ModelSums]:
    cells = []
    for rows in scores.rows_by_model:
        groups, codes = np.unique(scores.group_codes[rows], return_inverse=True)
        slices = np.bincount(codes)
        for part in parts:
            places = codes * ECE_BINS + part.bins[rows]
            sums = np.bincount(places, part.gap[rows], minlength=len(groups) * ECE_BINS)
            cells.append(
                ModelSums(groups, np.column_stack([slices, sums.reshape(-1, ECE_BINS)]).astype(np.float64))
            )
    return cells


def _errors(resampled: Floats, sums: Floats) -> Floats:
    """The error of each resample, and the error around the mean gaps: (2, resamples); NaN without slices."""
    slices, gaps = resampled[:, :1], resampled[:, 1:]
    total = sums.sum(axis=0)
    centred = gaps - slices * total[1:] / total[0]
    return divide_or_nan(np.abs(np.stack([gaps, centred])).sum(axis=2), np.stack([slices[:, 0]] * 2))
