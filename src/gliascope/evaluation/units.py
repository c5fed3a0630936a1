"""Sample sizes: the number of independent groups, and of slices, behind each metric of `evaluate_scores`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.scores import Scores


def count_groups(scores: Scores) -> dict[str, Any]:
    """Count the independent groups that each metric rests on.

    Parameters
    ----------
    scores
        The predictions of a test set.

    Returns
    -------
    dict
        By metric: an int, or int64 (classes,) for a metric of each class.
    """

    def groups(member: Callable[[int], NDArray[np.bool_]]) -> NDArray[np.int64]:
        counts = [len(np.unique(scores.group_codes[member(c)])) for c in range(len(scores.classes))]
        return np.array(counts, dtype=np.int64)

    true = groups(lambda c: scores.labels == c)
    other = groups(lambda c: scores.labels != c)
    # The rarer side limits AUROC: that many pairs of one positive and one negative group are independent.
    pairs = np.array(
        [min(scores.count_groups_by_side(scores.labels == c)) for c in range(len(scores.classes))]
    )
    # An error in the smallest class moves a macro average most, as if every class were that small. A group
    # may have slices of several classes, and is one all the same.
    macro = min(int((true > 0).sum() * true[true > 0].min()), scores.group_count)
    return {
        "accuracy": scores.group_count,
        "balanced_accuracy": macro,
        "macro_f1": macro,
        "macro_auroc": _macro_pairs(pairs, scores),
        "ece": scores.group_count,
        "brier": scores.group_count,
        "precision": groups(lambda c: scores.predictions == c),
        "recall": true,
        "f1": true,
        "specificity": other,
        "auroc": pairs,
    }


def _macro_pairs(pairs: NDArray[np.int64], scores: Scores) -> int:
    """Groups behind the macro AUROC. Between two classes, both AUROCs are the same number."""
    known = pairs[pairs > 0]
    if not len(known):
        return 0
    classes = len(known) if len(scores.classes) > 2 else 1
    return min(int(classes * known.min()), scores.group_count)


def count_slices(scores: Scores) -> dict[str, list[int]]:
    """Count the slices that each per-class metric rests on, each slice once for all models.

    Returns
    -------
    dict
        By metric: a list with one count for each class.
    """
    classes = range(len(scores.classes))
    true = [scores.labels == index for index in classes]
    named = [scores.predictions == index for index in classes]
    return {
        "precision": [scores.count_distinct(one) for one in named],
        "recall": [scores.count_distinct(one) for one in true],
        "f1": [scores.count_distinct(one | other) for one, other in zip(true, named, strict=True)],
        "specificity": [scores.count_distinct(~one) for one in true],
        "auroc": [scores.count_distinct()] * len(true),
    }
