"""Every metric on every bootstrap resample at once.

A resample is the number of times that each group was drawn. A quantity that is a sum over slices (confusion
counts, Brier score) is summed once for each group, so that all resamples are one matrix product. AUROC is a
weighted rank sum. Where several models were tested, AUROC and ECE are the mean over models, each computed on
the model's own rows of the same resample.
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.binned import resampled_binned_error, top_class_gaps
from gliascope.evaluation.defined import divide_or_nan, mean_defined
from gliascope.evaluation.intervals import group_draws
from gliascope.evaluation.scores import Scores

Floats = NDArray[np.float64]


def resample_metrics(scores: Scores, resamples: int, seed: int) -> dict[str, Floats]:
    """Compute all metrics on resampled groups.

    Parameters
    ----------
    scores
        The predictions of a test set.
    resamples
        Number of bootstrap resamples.
    seed
        The same seed gives the same numbers.

    Returns
    -------
    dict
        By metric: float64 (resamples,), or (resamples, classes) for a metric of each class. NaN where a
        resample leaves the metric undefined.
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
    """Compute the AUROC of one class against the rest under many weightings: the mean over models.

    Parameters
    ----------
    scores
        The predictions of n slices.
    index
        Index of the class.
    weights
        Weight of each slice in each resample, (resamples, n).

    Returns
    -------
    numpy.ndarray
        float64 (resamples,); NaN where no model has slices on both sides.
    """
    score, positive = scores.probabilities[:, index], scores.labels == index
    found = [weighted_auroc(score[rows], positive[rows], weights[:, rows]) for rows in scores.rows_by_model]
    return mean_defined(np.stack(found, axis=1))


def slice_sums(scores: Scores) -> Floats:
    """Return the columns that add up over slices, (n, 3 * classes + 1).

    They are: one-hot true class, one-hot predicted class, one-hot class of a correct prediction, squared
    error.
    """
    one = np.eye(len(scores.classes))
    truth, said = one[scores.labels], one[scores.predictions]
    squared = ((scores.probabilities - truth) ** 2).sum(axis=1, keepdims=True)
    return np.concatenate([truth, said, truth * said, squared], axis=1)


def group_sums(scores: Scores, values: Floats) -> Floats:
    """Sum the rows of `values`, (n, k), within each group: (groups, k)."""
    sums = np.zeros((scores.group_count, values.shape[1]))
    np.add.at(sums, scores.group_codes, values)
    return sums


def resampled_sums(scores: Scores, values: Floats, resamples: int, seed: int) -> Floats:
    """Sum the rows of `values`, (n, k), over the slices of each resample of groups: (resamples, k)."""
    sums = group_sums(scores, values)
    draws = group_draws(scores.group_count, len(scores), resamples, seed)
    return np.concatenate([drawn @ sums for drawn in draws])


def metrics_from_counts(true: Floats, predicted: Floats, hits: Floats) -> dict[str, Floats]:
    """Compute the metrics that counts of slices determine.

    Parameters
    ----------
    true, predicted, hits
        Slices of each class, slices predicted as it, and slices correctly predicted as it: (resamples,
        classes).

    Returns
    -------
    dict
        By metric: (resamples,), or (resamples, classes) for a metric of each class. NaN where it is 0 / 0.
    """
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
    """Compute the area under the ROC curve of one score under many weightings; ties count half.

    Parameters
    ----------
    score
        Score of each slice, (n,).
    positive
        Whether each slice is of the positive class, (n,).
    weights
        Weight of each slice in each resample, (resamples, n).

    Returns
    -------
    numpy.ndarray
        float64 (resamples,): the share of positive-negative pairs in the right order, each pair weighted by
        the product of its weights. NaN where either side has no weight.

    References
    ----------
    Hanley & McNeil, Radiology 143:29, 1982.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf) > 0)
    weights, positive = weights[:, order], positive[order]
    up = np.add.reduceat(weights * positive, starts, axis=1)
    down = np.add.reduceat(weights * ~positive, starts, axis=1)
    below = np.cumsum(down, axis=1) - down
    return divide_or_nan((up * (below + down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))
