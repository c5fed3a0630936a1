"""Receiver operating characteristic and precision-recall, a class against the rest: points and areas."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.intervals import group_draws, share_interval, with_interval
from gliascope.evaluation.replicates import Floats
from gliascope.evaluation.scores import Scores

POINTS = 400  # of a curve, at most: more than a figure can show


def evaluate_curves(scores: Scores, resamples: int = 2000, seed: int = 0) -> dict[str, dict[str, Any]]:
    """By class: {prevalence, average_precision, roc, precision_recall}, ready for JSON.

    prevalence: share of the slices that are of the class, which is the precision of naming it at random.
    average_precision: {value, low, high}, the area under the precision-recall curve as a step function
    (scikit-learn's `average_precision_score`), with a 95 % interval over groups.
    roc: points [false positive rate, recall]; precision_recall: points [recall, precision]; both from the
    highest threshold to the lowest. A class that all or none of the slices are of is left out.
    """
    found = {}
    for index, label in enumerate(scores.classes):
        positive = scores.labels == index
        if positive.all() or not positive.any():
            continue
        score = scores.probabilities[:, index]
        found[label] = {
            "prevalence": float(positive.mean()),
            "average_precision": _average_precision(scores, score, positive, resamples, seed),
            "roc": _roc(score, positive),
            "precision_recall": _precision_recall(score, positive),
        }
    return found


def counts_by_threshold(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """How much weighs at or above each threshold: positives and negatives, (resamples, thresholds) each.

    Thresholds are the distinct values of `score` (n,), highest first; weights: (resamples, n).
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf) < 0)
    weights, positive = weights[:, order], positive[order]
    up = np.add.reduceat(weights * positive, starts, axis=1).cumsum(axis=1)
    down = np.add.reduceat(weights * ~positive, starts, axis=1).cumsum(axis=1)
    return up, down


def resampled_counts(
    scores: Scores, score: Floats, positive: NDArray[np.bool_], resamples: int, seed: int
) -> Iterator[tuple[Floats, Floats]]:
    """`counts_by_threshold` on blocks of resampled groups."""
    for draws in group_draws(scores.group_count, len(scores), resamples, seed):
        yield counts_by_threshold(score, positive, draws[:, scores.group_codes])


def side_groups(scores: Scores, positive: NDArray[np.bool_]) -> tuple[int, int]:
    """How many groups have positives, and how many negatives."""
    sides = (scores.group_codes[positive], scores.group_codes[~positive])
    return len(np.unique(sides[0])), len(np.unique(sides[1]))


def _average_precision(
    scores: Scores, score: Floats, positive: NDArray[np.bool_], resamples: int, seed: int
) -> dict[str, float | None]:
    from sklearn.metrics import average_precision_score

    value = float(average_precision_score(positive, score))
    samples = np.concatenate(
        [_areas(up, down) for up, down in resampled_counts(scores, score, positive, resamples, seed)]
    )
    # As for AUROC, the rarer side limits what is known.
    return with_interval(value, share_interval(value, samples, min(side_groups(scores, positive))))


def _areas(up: Floats, down: Floats) -> Floats:
    """Average precision of each resample, (resamples,): precision, weighted by the recall it adds."""
    named, total = up + down, up[:, -1]
    precision = np.divide(up, named, out=np.zeros_like(up), where=named > 0)
    gained = np.diff(up, prepend=0, axis=1)
    undefined = np.full(len(up), np.nan)
    return np.asarray(np.divide((gained * precision).sum(axis=1), total, out=undefined, where=total > 0))


def _roc(score: Floats, positive: NDArray[np.bool_]) -> list[list[float]]:
    from sklearn.metrics import roc_curve

    false_positive_rate, recall, _ = roc_curve(positive, score)
    return _thin(np.stack([false_positive_rate, recall], axis=1))


def _precision_recall(score: Floats, positive: NDArray[np.bool_]) -> list[list[float]]:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
    return _thin(np.stack([recall, precision], axis=1)[::-1])


def _thin(points: Floats) -> list[list[float]]:
    """At most POINTS of them, evenly, the ends among them; to six decimals."""
    kept = np.unique(np.linspace(0, len(points) - 1, min(POINTS, len(points))).round().astype(np.int64))
    thinned: list[list[float]] = points[kept].round(6).tolist()
    return thinned
