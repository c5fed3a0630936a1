"""Every metric on every resample at once.

A resample is how often each group was drawn. What is a sum over slices (confusion counts, Brier, the bins
of ECE) is summed once per group, and all resamples are then one matrix product; AUROC is a weighted rank sum.
Of several models, AUROC and ECE are the mean over models, each on its own rows of the same resample.
"""

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.intervals import group_draws
from gliascope.evaluation.scores import Scores

Floats = NDArray[np.float64]
ECE_BINS = 15


def replicate(scores: Scores, resamples: int, seed: int) -> dict[str, Floats]:
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
    confusion = total[:, : count * count].reshape(-1, count, count)
    slices = confusion.sum(axis=(1, 2))
    binned = total[:, count * count + 1 :]
    return {
        **count_metrics(confusion),
        "auroc": auroc,
        "macro_auroc": mean_defined(auroc),
        "brier": total[:, count * count] / slices,
        "ece": mean_over_models(binned, scores.model_count),
        "ece_by_chance": chance_over_models(binned, scores.model_count),
    }


def class_auroc(scores: Scores, index: int, weights: Floats) -> Floats:
    """AUROC of a class against the rest under many weightings (resamples, n): the mean over models."""
    score, positive = scores.probabilities[:, index], scores.labels == index
    found = [weighted_auroc(score[rows], positive[rows], weights[:, rows]) for rows in scores.by_model]
    return mean_defined(np.stack(found, axis=1))


def slice_sums(scores: Scores) -> Floats:
    """What adds up over slices: confusion, squared error, `model_bins`; (n, classes² + 1 + models * ...)."""
    n, count = scores.probabilities.shape
    row = np.arange(n)
    confusion = np.zeros((n, count * count))
    confusion[row, scores.labels * count + scores.predictions] = 1
    truth = np.eye(count)[scores.labels]
    gap = model_bins(
        scores, scores.correct - scores.confidences, confidence_bin(scores.confidences, ECE_BINS)
    )
    squared = ((scores.probabilities - truth) ** 2).sum(axis=1, keepdims=True)
    return np.concatenate([confusion, squared, gap], axis=1)


def model_bins(scores: Scores, values: Floats, bins: NDArray[np.int64]) -> Floats:
    """Each value (n,) in the column of its model and bin, (n, models * (1 + ECE_BINS)).

    A model's first column counts its slices. Summed over slices, it is what `mean_over_models` takes.
    """
    row, first = np.arange(len(values)), scores.model_codes * (1 + ECE_BINS)
    spread = np.zeros((len(values), scores.model_count * (1 + ECE_BINS)))
    spread[row, first] = 1
    spread[row, first + 1 + bins] = values
    return spread


def mean_over_models(sums: Floats, models: int) -> Floats:
    """Expected calibration error of each model, its mean over models: of sums (…, models * (1 + bins))."""
    sums = sums.reshape(*sums.shape[:-1], models, -1)
    return mean_defined(_divide(np.abs(sums[..., 1:]).sum(axis=-1), sums[..., 0]))


def chance_over_models(sums: Floats, models: int) -> Floats:
    """`mean_over_models` of resamples (resamples, …) as if each model were calibrated.

    That is around the gaps that resamples show on average.
    """
    sums = sums.reshape(len(sums), models, -1)
    counts, gaps = sums[..., :1], sums[..., 1:]
    expected = gaps.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)
    centred = np.concatenate([counts, gaps - counts * expected], axis=2)
    return mean_over_models(centred.reshape(len(sums), -1), models)


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


def confidence_bin(confidences: Floats, bins: int) -> NDArray[np.int64]:
    """Which of the equal-width bins (lower, upper] of 0 to 1 each confidence falls into, (n,)."""
    edges = np.linspace(0, 1, bins + 1)
    return np.digitize(confidences, edges[1:-1], right=True).astype(np.int64)


def count_metrics(confusion: Floats) -> dict[str, Floats]:
    """Metrics of confusion matrices (resamples, true class, predicted class); NaN for 0 / 0."""
    hits = np.einsum("rcc->rc", confusion)
    true, predicted = confusion.sum(axis=2), confusion.sum(axis=1)
    slices = true.sum(axis=1, keepdims=True)
    recall = _divide(hits, true)
    # Of a class that no slice is of, nothing can be found: no recall, and so no F1, whatever is named so.
    f1 = np.where(true > 0, _divide(2 * hits, true + predicted), np.nan)
    return {
        "accuracy": hits.sum(axis=1) / slices[:, 0],
        "precision": _divide(hits, predicted),
        "recall": recall,
        "f1": f1,
        "specificity": _divide(slices - true - predicted + hits, slices - true),
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
    return _divide((up * (below + down / 2)).sum(axis=1), up.sum(axis=1) * down.sum(axis=1))


def mean_defined(values: Floats) -> Floats:
    """Mean over the last axis without its NaN; NaN where nothing else is left."""
    known = np.isfinite(values)
    return _divide(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1).astype(np.float64))


def _divide(numerator: Floats, denominator: Floats) -> Floats:
    undefined = np.full(np.shape(numerator), np.nan)
    return np.asarray(np.divide(numerator, denominator, out=undefined, where=denominator > 0))
