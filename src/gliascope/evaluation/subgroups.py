"""Metrics of a test set by known facts of its slices: source, modality, format."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.scores import Scores


class Subgroup(FrozenModel):
    """Metrics of the test slices that share one value of a fact, such as a source."""

    n: int
    groups: int
    accuracy: Estimate
    balanced_accuracy: Estimate
    classes: dict[str, int] = Field(
        description="slices of each class in the subgroup; where there is one class only, the model may have "
        "recognised the subgroup instead of the class"
    )


def evaluate_subgroups(
    scores: Scores, facts: Mapping[str, Sequence[str | None]], resamples: int = 2000
) -> dict[str, dict[str, Subgroup]]:
    """Compute the metrics of each subgroup.

    Parameters
    ----------
    scores
        The predictions of n slices.
    facts
        By fact, such as "source": its value for each slice, n of them. None counts as "unknown"; a fact with
        only one value is left out.
    resamples
        Of the bootstrap over groups.

    Returns
    -------
    dict
        By fact, then by its value.
    """
    found: dict[str, dict[str, Subgroup]] = {}
    for fact, values in facts.items():
        named = np.array(["unknown" if value is None else value for value in values])
        if len(np.unique(named)) > 1:
            found[fact] = {
                str(value): _numbers(scores.select(named == value), resamples) for value in np.unique(named)
            }
    return found


def _numbers(scores: Scores, resamples: int) -> Subgroup:
    found = evaluate_scores(scores, resamples)
    return Subgroup(
        n=found.n,
        groups=found.groups,
        accuracy=found.accuracy,
        balanced_accuracy=found.balanced_accuracy,
        classes={label: entry.support for label, entry in found.per_class.items() if entry.support},
    )
