"""Limits of a test: classes with no or few test slices, and classes that no calibration slice has."""

from collections.abc import Mapping, Sequence

import numpy as np
from pydantic import Field

from gliascope.evaluation.estimate import FrozenModel
from gliascope.evaluation.metrics import Metrics
from gliascope.evaluation.scores import Scores
from gliascope.uncertainty.temperature import TEMPERATURES

FEW_GROUPS = 5
"""Groups of a class, below which its numbers say little."""
MAX_NAMED = 8  # classes in one sentence
MACRO_AVERAGES = {"balanced_accuracy": "recall", "macro_f1": "f1", "macro_auroc": "auroc"}  # the mean of what
_TITLES = {"balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "macro_auroc": "macro AUROC"}
_NEAR = 0.01  # of a bound, in logarithms


class Untested(FrozenModel):
    """What a test could not show."""

    untested: tuple[str, ...] = Field(default=(), description="classes without test slices")
    few: dict[str, int] = Field(
        default={}, description="groups of each class that has fewer than five, but some"
    )
    uncalibrated: tuple[str, ...] = Field(
        default=(), description="classes of which no slice calibrated one of the models"
    )
    averaged_over: dict[str, tuple[str, ...]] = Field(
        default={}, description="the classes that each macro average is the mean over"
    )
    notes: tuple[str, ...] = Field(default=(), description="all of this, and more, in sentences")


def find_untested(
    scores: Scores,
    result: Metrics,
    calibrated: Sequence[Mapping[str, int]] = (),
    temperatures: Sequence[float] = (),
) -> Untested:
    """Find the classes with no or few slices in the test set or the calibration set; notes name them.

    Parameters
    ----------
    scores
        The predictions of a test set.
    result
        The metrics of `evaluate_scores` on `scores`.
    calibrated
        For each calibrated model, the number of calibration slices by class.
    temperatures
        The temperature of each model with a calibrator. A note names those that reached a bound of the
        search.
    """
    groups = {
        label: len(np.unique(scores.group_codes[scores.labels == index]))
        for index, label in enumerate(scores.classes)
    }
    untested = [label for label, count in groups.items() if not count]
    few = {label: count for label, count in groups.items() if 0 < count < FEW_GROUPS}
    uncalibrated = [label for label in scores.classes if any(not counts.get(label) for counts in calibrated)]
    averaged = {
        name: [label for label, entry in result.per_class.items() if getattr(entry, of).value is not None]
        for name, of in MACRO_AVERAGES.items()
    }
    notes = [
        *_of_test(untested, averaged, scores.classes),
        *_of_few(few, result),
        *_of_models(scores, averaged["macro_auroc"]),
        *_of_calibration(uncalibrated, calibrated, temperatures),
    ]
    return Untested(
        untested=tuple(untested),
        few=few,
        uncalibrated=tuple(uncalibrated),
        averaged_over={name: tuple(labels) for name, labels in averaged.items()},
        notes=tuple(notes),
    )


def _of_test(
    untested: Sequence[str], averaged: Mapping[str, Sequence[str]], classes: Sequence[str]
) -> list[str]:
    said = []
    if untested:
        said.append(
            f"No test slice is of {_names(untested)}: how well the model tells "
            f"{'it' if len(untested) == 1 else 'these'} was not tested."
        )
    by_classes: dict[tuple[str, ...], list[str]] = {}
    for name, labels in averaged.items():
        if len(labels) < len(classes):
            by_classes.setdefault(tuple(labels), []).append(_TITLES[name])
    for labels, titles in by_classes.items():
        if labels:
            subject = _listed(titles)
            is_mean = "are means" if len(titles) > 1 else "is the mean"
            said.append(
                f"{subject[0].upper()}{subject[1:]} {is_mean} over {len(labels)} of {len(classes)} classes: "
                f"{_names(labels)}."
            )
        else:
            said.append(f"{_listed(titles)} cannot be computed: all test slices are of one class.")
    return said


def _of_few(few: Mapping[str, int], result: Metrics) -> list[str]:
    if not few:
        return []
    counts = {label: result.per_class[label].support for label in few}
    listed = [
        f"{label} ({counts[label]} {'slice' if counts[label] == 1 else 'slices'} of "
        f"{number} {'group' if number == 1 else 'groups'})"
        for label, number in few.items()
    ]
    return [
        f"Few test slices are of {_names(listed)}: what is said of so few may be luck, and they count as "
        "much as any other class in macro averages."
    ]


def _of_models(scores: Scores, ranked: Sequence[str]) -> list[str]:
    """Note the classes for which some models had no test slices."""
    said = []
    for label in ranked:
        positive = scores.labels == scores.classes.index(label)
        asked = len(scores.rankable_rows(positive))
        if asked < scores.model_count:
            said.append(f"{label} ({asked} of {scores.model_count})")
    return (
        [f"AUROC is the mean over those models that were tested on the class: {_names(said)}."]
        if said
        else []
    )


def _of_calibration(
    uncalibrated: Sequence[str], calibrated: Sequence[Mapping[str, int]], temperatures: Sequence[float]
) -> list[str]:
    said = []
    if uncalibrated:
        models = "the model" if len(calibrated) == 1 else "some of the models"
        said.append(
            f"No slice of {_names(uncalibrated)} calibrated {models}: temperature and prediction sets know "
            f"nothing of {'it' if len(uncalibrated) == 1 else 'these'}."
        )
    bound = [one for one in temperatures if np.abs(np.log(np.array(TEMPERATURES) / one)).min() < _NEAR]
    if bound:
        values = ", ".join(f"{one:.3g}" for one in bound)
        said.append(
            f"The temperature stopped at its bound ({values}): the slices that calibrate would have it "
            "farther, so probabilities are not calibrated."
        )
    return said


def _names(names: Sequence[str]) -> str:
    if len(names) <= MAX_NAMED:
        return _listed(names)
    return f"{', '.join(names[:MAX_NAMED])} and {len(names) - MAX_NAMED} more"


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
