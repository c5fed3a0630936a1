"""Expected calibration errors: how far right answers outnumber confidence in each bin, on every resample.

A bin holds slices of one model alone: where one model is too sure and another too modest, both together would
look calibrated. Of several models the error is the mean over them.
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
    """By how much each slice is more right than sure, and its bin, from 0 to ECE_BINS - 1; (n,) each."""

    gap: Floats
    bins: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ModelSums:
    """Sums over the slices of one model in each of its groups: slices, and the gap in each bin.

    groups: their codes, (k,); sums: (k, 1 + ECE_BINS).
    """

    groups: NDArray[np.int64]
    sums: Floats


def confidence_bin(confidences: Floats, bins: int) -> NDArray[np.int64]:
    """Which of the equal-width bins (lower, upper] of 0 to 1 each confidence falls into, (n,)."""
    edges = np.linspace(0, 1, bins + 1)
    return np.digitize(confidences, edges[1:-1], right=True).astype(np.int64)


def top_class_gaps(scores: Scores) -> CalibrationGaps:
    """Of the predicted class, in bins of equal width (Guo et al. 2017)."""
    return CalibrationGaps(scores.correct - scores.confidences, confidence_bin(scores.confidences, ECE_BINS))


def binned_error(scores: Scores, gaps: list[CalibrationGaps]) -> float:
    """Mean over models, and over parts (one, or one a class), of the error in each."""
    totals = [cell.sums.sum(axis=0) for cell in _cells(scores, gaps)]
    return float(np.mean([np.abs(total[1:]).sum() / total[0] for total in totals]))


def resampled_binned_error(
    scores: Scores, gaps: list[CalibrationGaps], resamples: int, seed: int
) -> tuple[Floats, Floats]:
    """`binned_error` on resampled groups, and as it would be were each model calibrated; (resamples,) each.

    The second is of the same resamples, around the gaps that they show on average. NaN where a resample has
    no slice of any model.
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
    """The error of each resample, and around what is expected, (2, resamples); NaN without slices."""
    slices, gaps = resampled[:, :1], resampled[:, 1:]
    total = sums.sum(axis=0)
    centred = gaps - slices * total[1:] / total[0]
    return divide_or_nan(np.abs(np.stack([gaps, centred])).sum(axis=2), np.stack([slices[:, 0]] * 2))
