"""Scores in, numbers with 95 % intervals out."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.binned import ECE_BINS, binned_error, confidence_bin, top_gaps
from gliascope.evaluation.defined import mean_defined
from gliascope.evaluation.intervals import (
    clopper_pearson,
    error_interval,
    share_interval,
    small_sample_inflation,
    with_interval,
)
from gliascope.evaluation.replicates import replicate
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.units import group_units, slice_units

__all__ = ["Scores", "confident_mistakes", "evaluate_scores", "reliability"]

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
ERRORS = {"ece": 1.0, "brier": 2.0}  # and the highest that each can be
CLASS_SHARES = ("precision", "recall", "f1", "specificity", "auroc")


def evaluate_scores(scores: Scores, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """All numbers of a test set, ready for JSON.

    Keys: n, groups, classes; accuracy, balanced_accuracy, macro_f1, macro_auroc, ece, brier;
    per_class.<class>.{support, precision, recall, f1, specificity, auroc}; confusion (rows are the truth).
    Every number but counts is {value, low, high}: a 95 % interval over groups (see `intervals`).
    All three are None where the number is undefined (recall, F1 and AUROC of a class without slices,
    precision of a class never predicted), low and high where fewer than two groups bear on it. A class
    without slices is in no macro average; slices that are taken for it are mistakes all the same. AUROC is
    one class against the rest.

    Several models: what is counted slice by slice is counted over all rows, for each is decided by one model.
    AUROC and ECE are the mean over models, each alone: scores of different models have no common scale.

    ECE: 15 equal-width bins of the top-1 confidence (Guo et al. 2017). Brier: the original sum over classes
    (Brier 1950), from 0 to 2; for two classes this is twice the form that runs from 0 to 1.
    """
    values, samples, units = _values(scores), replicate(scores, resamples, seed), group_units(scores)

    slices, support = scores.distinct(), slice_units(scores)
    alike = bool(scores.correct.all() or not scores.correct.any())
    ranked: dict[str, Any] = {
        # As in designs with strata: groups less classes (Korn & Graubard 1998).
        "freedom": max(1, scores.group_count - int((values["recall"] >= 0).sum())),
        "inflation": small_sample_inflation(samples["auroc"], units["auroc"]),
    }

    def share(name: str) -> dict[str, float | None]:
        value, rest = float(values[name]), ranked if name == "macro_auroc" else {}
        return with_interval(value, share_interval(value, samples[name], int(units[name]), slices, **rest))

    def error(name: str, most: float) -> dict[str, float | None]:
        value, chance = float(values[name]), samples.get(f"{name}_by_chance")
        interval = error_interval(value, samples[name], int(units[name]), most, chance=chance, alike=alike)
        return with_interval(value, interval)

    def of_class(name: str, index: int) -> dict[str, float | None]:
        value, number = float(values[name][index]), int(units[name][index])
        return with_interval(
            value, share_interval(value, samples[name][:, index], number, int(support[name][index]))
        )

    confusion = _confusion(scores)
    return {
        "n": len(scores),
        "groups": scores.group_count,
        "classes": list(scores.classes),
        **{name: share(name) for name in SHARES},
        **{name: error(name, most) for name, most in ERRORS.items()},
        "per_class": {
            label: {
                "support": int(confusion[index].sum()),
                **{name: of_class(name, index) for name in CLASS_SHARES},
            }
            for index, label in enumerate(scores.classes)
        },
        "confusion": confusion.tolist(),
    }


def reliability(scores: Scores, bins: int = ECE_BINS) -> list[dict[str, Any]]:
    """Bins of a reliability diagram (Niculescu-Mizil & Caruana 2005) over the top-1 confidence.

    A row a bin: lower, upper, count, confidence (mean), accuracy {value, low, high}; confidence and accuracy
    are None in an empty bin. The interval is Clopper-Pearson with the bin's number of groups as n.
    Of several models, rows are of all together, in which one that is too sure and one that is too modest hide
    each other; so each row has models: confidence and accuracy of each model, None where it has no slice.
    """
    index = confidence_bin(scores.confidences, bins)
    rows: list[dict[str, Any]] = []
    for number in range(bins):
        inside = index == number
        count, groups = int(inside.sum()), len(np.unique(scores.group_codes[inside]))
        confidence = float(scores.confidences[inside].mean()) if count else None
        value = float(scores.correct[inside].mean()) if count else np.nan
        interval = clopper_pearson(value * groups, groups) if count else None
        rows.append(
            {
                "lower": number / bins,
                "upper": (number + 1) / bins,
                "count": count,
                "confidence": confidence,
                "accuracy": with_interval(value, interval),
            }
        )
        if scores.model_count > 1:
            rows[-1]["models"] = [_point(scores, model[inside[model]]) for model in scores.by_model]
    return rows


def _point(scores: Scores, rows: NDArray[np.int64]) -> dict[str, float] | None:
    if not len(rows):
        return None
    return {
        "confidence": float(scores.confidences[rows].mean()),
        "accuracy": float(scores.correct[rows].mean()),
    }


def summarise_rounds(rounds: Mapping[str, Scores]) -> dict[str, Any]:
    """How much the rounds of a protocol differ: {name, n, accuracy, balanced_accuracy} each, mean and sd.

    sd is the sample standard deviation over rounds. It is no standard error: rounds share training slices.
    """
    rows = []
    for name, scores in rounds.items():
        values = {key: float(_values(scores)[key]) for key in ("accuracy", "balanced_accuracy")}
        rows.append({"name": name, "n": len(scores), **values})
    summary: dict[str, Any] = {"rounds": rows}
    for key in ("accuracy", "balanced_accuracy"):
        values_of = np.array([row[key] for row in rows], dtype=np.float64)
        summary[key] = {"mean": float(values_of.mean()), "sd": float(values_of.std(ddof=1))}
    return summary


def confident_mistakes(scores: Scores, limit: int) -> NDArray[np.int64]:
    """Indices of the wrong predictions, most confident first, at most `limit`, and one of a group."""
    wrong = np.flatnonzero(~scores.correct)
    wrong = wrong[np.argsort(-scores.confidences[wrong], kind="stable")]
    # np.unique returns the first place of each group, which is its most confident mistake.
    first = np.sort(np.unique(scores.group_codes[wrong], return_index=True)[1])
    return wrong[first][:limit].astype(np.int64)


def _values(scores: Scores) -> dict[str, Any]:
    """The numbers themselves: floats, or (classes,) arrays; NaN where undefined."""
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
        "ece": binned_error(scores, [top_gaps(scores)]),
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
    both = scores.with_both(positive)
    return float(np.mean([roc_auc_score(positive[rows], score[rows]) for rows in both])) if both else np.nan


def _confusion(scores: Scores) -> NDArray[np.int64]:
    from sklearn.metrics import confusion_matrix

    order = np.arange(len(scores.classes))
    return np.asarray(confusion_matrix(scores.labels, scores.predictions, labels=list(order)), dtype=np.int64)
