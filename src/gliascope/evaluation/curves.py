"""ROC and precision-recall curves of a class against the rest: points and areas.

Scores of different models have no common scale, so each model has its own curves. For several models, the
curve is the vertical average (Fawcett 2006, Pattern Recognit. Lett. 27:861), and areas are the mean over
models.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.defined import Floats, mean_defined
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import group_draws, share_interval, with_interval
from gliascope.evaluation.scores import Scores

MAX_POINTS = 400  # of a curve, at most: more than a figure can show
MIN_MODEL_POINTS = 50  # of the curve of one of many models


Points = tuple[tuple[float, float], ...]


class ModelCurves(FrozenModel):
    """Curves of one model for one class against the rest, from the highest threshold to the lowest."""

    roc: Points = Field(description="points (false positive rate, recall)")
    precision_recall: Points = Field(description="points (recall, precision)")


class ClassCurves(ModelCurves):
    """Curves of one class; for several models, their vertical average."""

    prevalence: float = Field(description="share of the class: the precision of naming it at random")
    average_precision: Estimate = Field(
        description="area under the precision-recall curve as a step function, as scikit-learn has it"
    )
    models: tuple[ModelCurves, ...] = Field(default=(), description="of several models, the curves of each")


def evaluate_curves(scores: Scores, resamples: int = 2000, seed: int = 0) -> dict[str, ClassCurves]:
    """Compute the ROC and precision-recall curves of each class.

    Parameters
    ----------
    scores
        The predictions of a test set. Where several models were tested, all numbers are means over the models
        that have slices of the class and slices of others.
    resamples, seed
        Of the bootstrap over groups.

    Returns
    -------
    dict
        By class. A class is left out where every model has slices of the class only, or none of it.
    """
    found: dict[str, ClassCurves] = {}
    for index, label in enumerate(scores.classes):
        score, positive = scores.probabilities[:, index], scores.labels == index
        models = scores.rankable_rows(positive)
        if not models:
            continue
        roc = [_roc(score[rows], positive[rows]) for rows in models]
        precise = [_precision_recall(score[rows], positive[rows]) for rows in models]
        points = max(MIN_MODEL_POINTS, MAX_POINTS // len(models))
        found[label] = ClassCurves(
            prevalence=float(np.mean([positive[rows].mean() for rows in models])),
            average_precision=_average_precision(scores, score, positive, resamples=resamples, seed=seed),
            roc=_thin(_average(roc)),
            precision_recall=_thin(_average(precise, step=True)),
            models=tuple(
                ModelCurves(roc=_thin(one, points), precision_recall=_thin(other, points))
                for one, other in zip(roc, precise, strict=True)
                if scores.model_count > 1
            ),
        )
    return found


def counts_by_threshold(score: Floats, positive: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Sum the weights of positives and negatives with a score at or above each threshold.

    Parameters
    ----------
    score
        Score of each slice, (n,). Its distinct values, highest first, are the thresholds.
    positive
        Which slices are positive, (n,).
    weights
        Weight of each slice in each resample, (resamples, n).

    Returns
    -------
    positives, negatives : numpy.ndarray
        Summed weights, (resamples, thresholds) each.
    """
    order = np.argsort(-score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=np.inf) < 0)
    weights, positive = weights[:, order], positive[order]
    up = np.add.reduceat(weights * positive, starts, axis=1).cumsum(axis=1)
    down = np.add.reduceat(weights * ~positive, starts, axis=1).cumsum(axis=1)
    return up, down


def resampled_counts(
    scores: Scores, score: Floats, positive: NDArray[np.bool_], *, resamples: int, seed: int
) -> Iterator[list[tuple[Floats, Floats]]]:
    """Yield `counts_by_threshold` of each model for chunks of resampled groups, the same for all models."""
    for draws in group_draws(scores.group_count, len(scores), resamples, seed):
        weights = draws[:, scores.group_codes]
        yield [
            counts_by_threshold(score[rows], positive[rows], weights[:, rows])
            for rows in scores.rows_by_model
        ]


def _average_precision(
    scores: Scores, score: Floats, positive: NDArray[np.bool_], *, resamples: int, seed: int
) -> Estimate:
    from sklearn.metrics import average_precision_score

    models = scores.rankable_rows(positive)
    value = float(np.mean([average_precision_score(positive[rows], score[rows]) for rows in models]))
    blocks = [
        mean_defined(np.stack([_areas(up, down) for up, down in counts], axis=1))
        for counts in resampled_counts(scores, score, positive, resamples=resamples, seed=seed)
    ]
    # As for AUROC, the rarer side limits what is known.
    units = min(scores.count_groups_by_side(positive))
    return with_interval(value, share_interval(value, np.concatenate(blocks), units, scores.count_distinct()))


def _areas(up: Floats, down: Floats) -> Floats:
    """Average precision of each resample, (resamples,): precision, weighted by the recall it adds.

    NaN where a side has no weight: slices of one class only cannot be ranked.
    """
    named, total = up + down, up[:, -1]
    precision = np.divide(up, named, out=np.zeros_like(up), where=named > 0)
    gained = np.diff(up, prepend=0, axis=1)
    undefined = np.full(len(up), np.nan)
    return np.asarray(
        np.divide(
            (gained * precision).sum(axis=1), total, out=undefined, where=(total > 0) & (down[:, -1] > 0)
        )
    )


def _roc(score: Floats, positive: NDArray[np.bool_]) -> Floats:
    from sklearn.metrics import roc_curve

    false_positive_rate, recall, _ = roc_curve(positive, score)
    return np.stack([false_positive_rate, recall], axis=1)


def _precision_recall(score: Floats, positive: NDArray[np.bool_]) -> Floats:
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, score, drop_intermediate=True)
    return np.stack([recall, precision], axis=1)[::-1]


def _average(curves: Sequence[Floats], step: bool = False) -> Floats:
    """Average curves, (points, 2) each, vertically: the mean height at every x of any curve.

    Between its points a curve is a line or, for precision, a step that reaches its point from the left.
    """
    if len(curves) == 1:
        return curves[0]
    places = np.unique(np.concatenate([curve[:, 0] for curve in curves]))
    heights = []
    for curve in curves:
        if step:
            heights.append(curve[np.searchsorted(curve[:, 0], places).clip(max=len(curve) - 1), 1])
        else:
            heights.append(np.interp(places, curve[:, 0], curve[:, 1]))
    averaged = np.stack([places, np.mean(heights, axis=0)], axis=1)
    return averaged if step else np.concatenate([[[0.0, 0.0]], averaged])


def _thin(points: Floats, most: int = MAX_POINTS) -> Points:
    """Keep at most `most` points, evenly spread, both ends among them; to six decimals."""
    kept = np.unique(np.linspace(0, len(points) - 1, min(most, len(points))).round().astype(np.int64))
    return tuple((x, y) for x, y in points[kept].round(6).tolist())
