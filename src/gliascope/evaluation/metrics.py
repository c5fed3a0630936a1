"""Metrics of a test set, with 95 % intervals."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.evaluation.binned import binned_error, top_class_gaps
from gliascope.evaluation.defined import mean_defined
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.intervals import (
    error_interval,
    share_interval,
    small_sample_inflation,
    with_interval,
)
from gliascope.evaluation.replicates import resample_metrics
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.units import count_groups, count_slices

SHARE_METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
ERROR_MAXIMA = {"ece": 1.0, "brier": 2.0}  # and the highest that each can be
CLASS_METRICS = ("precision", "recall", "f1", "specificity", "auroc")


class ClassMetrics(FrozenModel):
    """How well one class is distinguished from all others."""

    support: int = Field(description="test slices of the class")
    precision: Estimate
    recall: Estimate
    f1: Estimate
    specificity: Estimate
    auroc: Estimate = Field(description="area under the ROC curve, this class against the rest")


class Metrics(FrozenModel):
    """All metrics of a test set. Intervals are over groups."""

    n: int = Field(description="test slices, each counted once for every model that was tested on it")
    groups: int = Field(description="independent groups of slices: patients, or copies of one image")
    classes: tuple[str, ...]
    accuracy: Estimate
    balanced_accuracy: Estimate = Field(description="mean recall over the classes that have test slices")
    macro_f1: Estimate
    macro_auroc: Estimate
    ece: Estimate = Field(description="expected calibration error, 15 equal-width bins of top confidence")
    brier: Estimate = Field(description="sum over classes, from 0 to 2 (Brier 1950)")
    per_class: dict[str, ClassMetrics]
    confusion: tuple[tuple[int, ...], ...] = Field(
        description="rows are the true class, columns the predicted"
    )


def evaluate_scores(scores: Scores, resamples: int = 2000, seed: int = 0) -> Metrics:
    """Compute all metrics of a test set.

    Every metric but counts has a 95 % interval over groups (see `evaluation.intervals`). A metric and its
    interval are None where it is undefined: recall, F1 and AUROC of a class without slices, precision of a
    class that is never predicted. The interval alone is None where the metric rests on fewer than two groups.
    A class without slices is in no macro average; slices that are predicted as it are errors all the same.

    Where several models were tested, counts are over all rows, for each row is the prediction of one model.
    AUROC and ECE are the mean over models: scores of different models have no common scale.

    Parameters
    ----------
    scores
        The predictions of a test set.
    resamples, seed
        Of the bootstrap over groups.

    Notes
    -----
    AUROC is of one class against the rest. ECE has 15 equal-width bins of the top-1 confidence (Guo et al.
    2017). The Brier score is the original sum over classes (Brier 1950), from 0 to 2; for two classes this is
    twice the form that runs from 0 to 1.

    Examples
    --------
    >>> import numpy as np
    >>> from gliascope.evaluation.scores import Scores
    >>> probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    >>> scores = Scores(probabilities, np.array([0, 0, 1, 1]), np.arange(4), ("glioma", "no_tumor"))
    >>> metrics = evaluate_scores(scores)
    >>> metrics.accuracy.value, metrics.confusion
    (0.75, ((2, 0), (1, 1)))
    """
    values, samples, units = (
        metric_values(scores),
        resample_metrics(scores, resamples, seed),
        count_groups(scores),
    )

    slices, support = scores.count_distinct(), count_slices(scores)
    alike = bool(scores.correct.all() or not scores.correct.any())
    ranked: dict[str, Any] = {
        # As in designs with strata: groups less classes (Korn & Graubard 1998).
        "degrees_of_freedom": max(1, scores.group_count - int((values["recall"] >= 0).sum())),
        "inflation": small_sample_inflation(samples["auroc"], units["auroc"]),
    }

    def share(name: str) -> Estimate:
        value, rest = float(values[name]), ranked if name == "macro_auroc" else {}
        return with_interval(value, share_interval(value, samples[name], int(units[name]), slices, **rest))

    def error(name: str, most: float) -> Estimate:
        value, chance = float(values[name]), samples.get(f"{name}_by_chance")
        interval = error_interval(value, samples[name], int(units[name]), most, chance=chance, all_same=alike)
        return with_interval(value, interval)

    def of_class(name: str, index: int) -> Estimate:
        value, number = float(values[name][index]), int(units[name][index])
        return with_interval(
            value, share_interval(value, samples[name][:, index], number, int(support[name][index]))
        )

    confusion = _confusion(scores)
    return Metrics(
        n=len(scores),
        groups=scores.group_count,
        classes=scores.classes,
        **{name: share(name) for name in SHARE_METRICS},
        **{name: error(name, most) for name, most in ERROR_MAXIMA.items()},
        per_class={
            label: ClassMetrics(
                support=int(confusion[index].sum()), **{name: of_class(name, index) for name in CLASS_METRICS}
            )
            for index, label in enumerate(scores.classes)
        },
        confusion=confusion.tolist(),
    )


def confident_mistakes(scores: Scores, limit: int) -> NDArray[np.int64]:
    """Return indices of wrong predictions, most confident first: at most `limit`, and one of each group."""
    wrong = np.flatnonzero(~scores.correct)
    wrong = wrong[np.argsort(-scores.confidences[wrong], kind="stable")]
    # np.unique returns the first place of each group, which is its most confident mistake.
    first = np.sort(np.unique(scores.group_codes[wrong], return_index=True)[1])
    return wrong[first][:limit].astype(np.int64)


def metric_values(scores: Scores) -> dict[str, Any]:
    """Compute the metrics without intervals: floats, or (classes,) arrays; NaN where undefined."""
    from sklearn.metrics import accuracy_score, multilabel_confusion_matrix, precision_recall_fscore_support

    order = range(len(scores.classes))
    precision, recall, f1, _ = precision_recall_fscore_support(
        scores.labels, scores.predictions, labels=list(order), average=None, zero_division=np.nan
    )
    tables = multilabel_confusion_matrix(scores.labels, scores.predictions, labels=list(order))
    negatives = tables[:, 0].sum(axis=1)
    specificity = np.where(negatives > 0, tables[:, 0, 0] / np.maximum(negatives, 1), np.nan)
    auroc = np.array([_auroc(scores, index) for index in order])
    truth = np.eye(len(order))[scores.labels]
    f1 = np.where(tables[:, 1].sum(axis=1) > 0, f1, np.nan)  # as recall, not defined without a slice
    return {
        "accuracy": accuracy_score(scores.labels, scores.predictions),
        "balanced_accuracy": mean_defined(recall),
        "macro_f1": mean_defined(f1),
        "macro_auroc": mean_defined(auroc),
        "ece": binned_error(scores, [top_class_gaps(scores)]),
        "brier": ((scores.probabilities - truth) ** 2).sum(axis=1).mean(),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "specificity": specificity,
        "auroc": auroc,
    }


def _auroc(scores: Scores, index: int) -> float:
    """Mean over the models that have slices of the class and others; NaN where none has."""
    from sklearn.metrics import roc_auc_score

    positive, score = scores.labels == index, scores.probabilities[:, index]
    both = scores.rankable_rows(positive)
    return float(np.mean([roc_auc_score(positive[rows], score[rows]) for rows in both])) if both else np.nan


def _confusion(scores: Scores) -> NDArray[np.int64]:
    from sklearn.metrics import confusion_matrix

    order = np.arange(len(scores.classes))
    return np.asarray(confusion_matrix(scores.labels, scores.predictions, labels=list(order)), dtype=np.int64)
