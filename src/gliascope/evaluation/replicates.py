"""Every metric on every resample at once.

A resample is how often each group was drawn. What is a sum over slices (confusion counts, Brier) is
summed once per group, and all resamples are then one matrix product; AUROC is a weighted rank sum.
Of several models, AUROC and ECE are the mean over models, each on its own rows of the same resample.
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.binned import resampled_binned_error, top_class_gaps
from gliascope.evaluation.defined import divide_or_nan, mean_defined
from gliascope.evaluation.intervals import group_draws
from gliascope.evaluation.scores import Scores

Floats = NDArray[np.float64]


def resample_metrics(scores: Scores, resamples: int, seed: int) -> dict[str, Floats]:
    """Metrics on resampled groups: (resamples,) each, (resamples, classes) for those of a class.

    NaN where a resample leaves a metric undefined. The same seed gives the same numbers.
    """
    count = len(scores.classes)
    sums = group_sums(scores, slice_sums(scores))
    totals, aurocs = [], []
    for draws in group_draws(scores.group_count, len(scores), resamples, seed):
        totals.append(draws @ sums)
        weights = draws[:, scores.group_codes]
        aurocs.append(np.stack([class_auroc(scores, index, weights) for index in range(count)], axis=1))
    total, auroc = np.concatenate(totals), np.concatenate(aurocs)
    true, predicted, hits = total[:, : 3 * count].reshape(-1, 3, count).swapaxes(0, 1)
    ece, by_chance = resampled_binned_error(scores, [top_class_gaps(scores)], resamples, seed)
    return {
        **metrics_from_counts(true, predicted, hits),
        "auroc": auroc,
        "macro_auroc": mean_defined(auroc),
        "brier": total[:, -1] / true.sum(axis=1),
        "ece": ece,
        "ece_by_chance": by_chance,
    }


def class_auroc(scores: Scores, index: int, weights: Floats) -> Floats:
    """AUROC of a class against the rest under many weightings (resamples, n): the mean over models."""
    score, positive = scores.probabilities[:, index], scores.labels == index
    found = [weighted_auroc(score[rows], positive[rows], weights[:, rows]) for rows in scores.rows_by_model]
    return mean_defined(np.stack(found, axis=1))


def slice_sums(scores: Scores) -> Floats:
    """What adds up over slices, (n, 3 classes + 1): true class, predicted class, right, squared error."""
    one = np.eye(len(scores.classes))
    truth, said = one[scores.labels], one[scores.predictions]
    squared = ((scores.probabilities - truth) ** 2).sum(axis=1, keepdims=True)
    return np.concatenate([truth, said, truth * said, squared], axis=1)


def group_sums(scores: Scores, values: Floats) -> Floats:
    """Sum the rows of `values` (n, k) within each group: (groups, k)."""
    sums = np.zeros((scores.group_count, values.shape[1]))
    np.add.at(sums, scores.group_codes, values)
    return sums


def resampled_sums(scores: Scores, values: Floats, resamples: int, seed: int) -> Floats:
    """Sums over the slices of each resample, (resamples, k), of `values` (n, k)."""
    sums = group_sums(scores, values)
    draws = group_draws(scores.group_count, len(scores), resamples, seed)
    return np.concatenate([drawn @ sums for drawn in draws])


def metrics_from_counts(true: Floats, predicted: Floats, hits: Floats) -> dict[str, Floats]:
    """Metrics of counts by class, (resamples, classes) each; NaN for 0 / 0."""
    slices = true.sum(axis=1, keepdims=True)
    recall = divide_or_nan(hits, true)
    # Of a class that no slice is of, nothing can be found: no recall, and so no F1, whatever is named so.
    f1 = np.where(true > 0, divide_or_nan(2 * hits, true + predicted), np.nan)
    return {
        "accuracy": hits.sum(axis=1) / slices[:, 0],
        "precision": divide_or_nan(hits, predicted),
        "recall": recall,
        "f1": f1,
        "specificity": divide_or_nan(slices - true - predicted + hits, slices - true),
        "balanced_accuracy": mean_defined(recall),
        "macro_f1": mean_defined(f1),
    }


def weighted_auroc(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> Floats:
    """Area under the ROC curve of one score (n,) under many weightings (resamples, n); ties count half.

    It is the share of positive-negative pairs in the right order (Hanley & McNeil 1982), each pair weighing
    the product of its weights. NaN where either side has no weight.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    weights, positive = weights[:, order], positive[order]
    up = np.add.reduceat(weights * positive, starts, axis=1)
    down = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(down, axis=1) - down
    return divide_or_nan((up * (below + down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))
