"""One test set's numbers by what is known of its slices: source, modality, format."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores


def evaluate_subgroups(
    scores: Scores, facts: Mapping[str, Sequence[str | None]], resamples: int = 2000
) -> dict[str, dict[str, dict[str, Any]]]:
    """By fact and by its value: {n, groups, classes, accuracy, balanced_accuracy}.

    facts: values for the slices, in their order; None is shown as "unknown", and a fact with only one value
    is left out. classes: slices of each class that the subgroup has; with one class alone, a model may have
    told it by whatever marks the subgroup. Numbers are as `evaluate_scores` gives them.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for fact, values in facts.items():
        named = np.array(["unknown" if value is None else value for value in values])
        if len(np.unique(named)) > 1:
            found[fact] = {
                str(value): _numbers(scores.at(named == value), resamples) for value in np.unique(named)
            }
    return found


def _numbers(scores: Scores, resamples: int) -> dict[str, Any]:
    all_of_them = evaluate_scores(scores, resamples)
    support = {label: entry["support"] for label, entry in all_of_them["per_class"].items()}
    kept = {key: all_of_them[key] for key in ("n", "groups", "accuracy", "balanced_accuracy")}
    return {**kept, "classes": {label: count for label, count in support.items() if count}}
