"""Scores in, numbers with 95 % intervals out."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.intervals import (
    Interval,
    clopper_pearson,
    error_interval,
    share_interval,
    with_interval,
)
from gliascope.evaluation.replicates import (
    ECE_BINS,
    Floats,
    confidence_bin,
    mean_defined,
    replicate,
)
from gliascope.evaluation.scores import Scores

__all__ = ["Scores", "confident_mistakes", "evaluate_scores", "reliability"]

SHARES = ("accuracy", "balanced_accuracy", "macro_f1", "macro_auroc")
ERRORS = ("ece", "brier")
CLASS_SHARES = ("precision", "recall", "f1", "specificity", "auroc")


def evaluate_scores(scores: Scores, resamples: int = 2000, seed: int = 0) -> dict[str, Any]:
    """All numbers of a test set, ready for JSON.

    Keys: n, groups, classes; accuracy, balanced_accuracy, macro_f1, macro_auroc, ece, brier;
    per_class.<class>.{support, precision, recall, f1, specificity, auroc}; confusion (rows are the truth).
    Every number but counts is {value, low, high}: a 95 % interval over groups (see `intervals`).
    All three are None where the number is undefined (AUROC of a class without slices, precision of a class
    never predicted), low and high where fewer than two groups bear on it. Macro averages are over the
    classes that are defined; AUROC is one class against the rest.

    ECE: 15 equal-width bins of the top-1 confidence (Guo et al. 2017). Brier: the original sum over classes
    (Brier 1950), from 0 to 2; for two classes this is twice the form that runs from 0 to 1.
    """
    values, samples, units = _values(scores), replicate(scores, resamples, seed), _units(scores)

    def headline(name: str, interval: Callable[[float, Floats, int], Interval]) -> dict[str, float | None]:
        value = float(values[name])
        return with_interval(value, interval(value, samples[name], int(units[name])))

    def of_class(name: str, index: int) -> dict[str, float | None]:
        value = float(values[name][index])
        return with_interval(value, share_interval(value, samples[name][:, index], int(units[name][index])))

    confusion = _confusion(scores)
    return {
        "n": len(scores),
        "groups": scores.group_count,
        "classes": list(scores.classes),
        **{name: headline(name, share_interval) for name in SHARES},
        **{name: headline(name, error_interval) for name in ERRORS},
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
    """
    index = confidence_bin(scores.confidences, bins)
    rows = []
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
    return rows


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
    gaps = np.bincount(
        confidence_bin(scores.confidences, ECE_BINS), weights=scores.correct - scores.confidences
    )
    return {
        "accuracy": accuracy_score(scores.labels, scores.predictions),
        "balanced_accuracy": mean_defined(recall),
        "macro_f1": mean_defined(f1),
        "macro_auroc": mean_defined(auroc),
        "ece": np.abs(gaps).sum() / len(scores),
        "brier": ((scores.probabilities - truth) ** 2).sum(axis=1).mean(),
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "specificity": specificity,
        "auroc": auroc,
    }


def _auroc(scores: Scores, index: int) -> float:
    from sklearn.metrics import roc_auc_score

    positive = scores.labels == index
    if positive.all() or not positive.any():
        return float("nan")
    return float(roc_auc_score(positive, scores.probabilities[:, index]))


def _confusion(scores: Scores) -> NDArray[np.int64]:
    from sklearn.metrics import confusion_matrix

    order = np.arange(len(scores.classes))
    return np.asarray(confusion_matrix(scores.labels, scores.predictions, labels=list(order)), dtype=np.int64)


def _units(scores: Scores) -> dict[str, Any]:
    """How many independent groups bear on each number: int, or int64 (classes,)."""

    def groups(member: Callable[[int], NDArray[np.bool_]]) -> NDArray[np.int64]:
        counts = [len(np.unique(scores.group_codes[member(c)])) for c in range(len(scores.classes))]
        return np.array(counts, dtype=np.int64)

    true = groups(lambda c: scores.labels == c)
    other = groups(lambda c: scores.labels != c)
    # The rarer side limits AUROC: that many pairs of one positive and one negative group are independent.
    pairs = np.minimum(true, other)
    # An error in the smallest class moves a macro average most, as if every class were that small.
    macro = int((true > 0).sum() * true[true > 0].min()) if scores.group_count > 1 else 0
    return {
        "accuracy": scores.group_count,
        "balanced_accuracy": macro,
        "macro_f1": macro,
        "macro_auroc": int(pairs[pairs > 0].min()) if pairs.any() else 0,
        "ece": scores.group_count,
        "brier": scores.group_count,
        "precision": groups(lambda c: scores.predictions == c),
        "recall": true,
        "f1": true,
        "specificity": other,
        "auroc": pairs,
    }
