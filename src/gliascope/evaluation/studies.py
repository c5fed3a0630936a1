"""Metrics of whole studies (volumes, or all slices of a patient), for each method of aggregation."""

from collections.abc import Sequence
from statistics import median

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gliascope.classes import NO_TUMOR
from gliascope.evaluation.aggregation import (
    AGGREGATION_METHODS,
    DEFAULT_AGGREGATION,
    OOD_LIMIT,
    aggregate,
    study_outlier_score,
)
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.operating import tumour_scores
from gliascope.evaluation.replicates import Floats
from gliascope.evaluation.scores import Scores


class TumourDetection(FrozenModel):
    """How well studies with a tumour of any kind are distinguished from those without."""

    sensitivity: Estimate
    specificity: Estimate
    auroc: Estimate


class StudyMetrics(FrozenModel):
    """Metrics over studies, with intervals over groups."""

    accuracy: Estimate
    balanced_accuracy: Estimate
    macro_auroc: Estimate
    tumor: TumourDetection | None = Field(description="null without a class no_tumor")


class Studies(FrozenModel):
    """Metrics of whole studies, for each method of aggregating the predictions of their slices."""

    n: int = Field(description="answers about studies: a study counts once for each model tested on it")
    distinct: int = Field(description="studies")
    out_of_scope: int | None = Field(
        description="answers that `predict` would call out of scope; null where no outlier scores are known"
    )
    slices: int = Field(description="slices of known studies")
    left_out: int = Field(description="slices whose study is not known")
    median_slices: float = Field(description="of a study")
    classes: dict[str, int] = Field(description="studies of each class")
    healthy_slices: float | None = Field(
        description="share of the slices of tumour studies labelled no_tumor; null without that class"
    )
    aggregation: str = Field(description="the method that `predict` uses")
    methods: dict[str, StudyMetrics]


def evaluate_studies(
    scores: Scores,
    studies: Sequence[str | None],
    *,
    resamples: int = 2000,
    seed: int = 0,
    outlier_scores: Floats | None = None,
) -> Studies | None:
    """Compute the metrics of studies for each of `aggregation.AGGREGATION_METHODS`.

    The true label of a study is the tumour class that most of its slices show, or `no_tumor` where no slice
    shows a tumour.

    Parameters
    ----------
    scores
        The predictions of n slices. A study that several models were tested on counts once for each model.
    studies
        Study of each slice, n of them; None where it is unknown: that slice is left out.
    resamples, seed
        Of the bootstrap over groups.
    outlier_scores
        Of each slice, (n,), where they are known; slices out of scope are then left out, as in `predict`.

    Returns
    -------
    Studies or None
        None where no study has two slices.
    """
    known = np.array([study is not None for study in studies])
    if not known.any():
        return None
    inside = scores.select(known)
    names, known_as = np.unique([study for study in studies if study is not None], return_inverse=True)
    _, codes = np.unique(known_as * inside.model_count + inside.model_codes, return_inverse=True)
    members = [np.flatnonzero(codes == number) for number in range(int(codes.max()) + 1)]
    if max(map(len, members)) < 2:
        return None
    labels = np.array([_label(inside.labels[rows], inside.classes) for rows in members])
    groups = np.array([inside.group_codes[rows[0]] for rows in members])
    models = np.array([inside.model_codes[rows[0]] for rows in members])
    distances = None if outlier_scores is None else outlier_scores[known]
    apart = [None if distances is None else distances[rows] for rows in members]
    methods = {}
    for method in AGGREGATION_METHODS:
        by_study = [
            aggregate(inside.probabilities[rows], inside.classes, method, away)
            for rows, away in zip(members, apart, strict=True)
        ]
        study_scores = Scores(np.stack(by_study), labels, groups, inside.classes, models)
        methods[method] = _numbers(study_scores, resamples, seed)
    far = (
        None
        if distances is None
        else sum(study_outlier_score(distances[rows]) > OOD_LIMIT for rows in members)
    )
    return Studies(
        n=len(members),
        distinct=len(names),
        out_of_scope=None if far is None else int(far),
        slices=len(inside),
        left_out=int((~known).sum()),
        median_slices=float(median(map(len, members))),
        classes={name: int((labels == number).sum()) for number, name in enumerate(inside.classes)},
        healthy_slices=_healthy(inside, labels[codes]),
        aggregation=DEFAULT_AGGREGATION,
        methods=methods,
    )


def _label(labels: NDArray[np.int64], classes: tuple[str, ...]) -> int:
    counts = np.bincount(labels, minlength=len(classes))
    if NO_TUMOR in classes:
        absent = classes.index(NO_TUMOR)
        if counts[absent] < len(labels):
            counts[absent] = 0
    return int(counts.argmax())


def _healthy(scores: Scores, of_study: NDArray[np.int64]) -> float | None:
    """Share of slices labelled no_tumor in tumour studies. of_study: label of each slice's study, (n,)."""
    if NO_TUMOR not in scores.classes:
        return None
    absent = scores.classes.index(NO_TUMOR)
    labels = scores.labels[of_study != absent]
    return float((labels == absent).mean()) if len(labels) else None


def _numbers(scores: Scores, resamples: int, seed: int) -> StudyMetrics:
    found = evaluate_scores(scores, resamples, seed)
    return StudyMetrics(
        accuracy=found.accuracy,
        balanced_accuracy=found.balanced_accuracy,
        macro_auroc=found.macro_auroc,
        tumor=_tumour(scores, resamples, seed),
    )


def _tumour(scores: Scores, resamples: int, seed: int) -> TumourDetection | None:
    sides = tumour_scores(scores)
    if sides is None:
        return None
    score, tumour = sides
    called = scores.predictions != scores.classes.index(NO_TUMOR)
    # The class that is named decides what is called a tumour, not whether the kinds together pass a half.
    named = evaluate_scores(_binary(called.astype(np.float64), tumour, scores), resamples, seed)
    ranked = evaluate_scores(_binary(score, tumour, scores), resamples, seed)
    return TumourDetection(
        sensitivity=named.per_class["tumor"].recall,
        specificity=named.per_class["tumor"].specificity,
        auroc=ranked.per_class["tumor"].auroc,
    )


def _binary(score: Floats, tumour: NDArray[np.bool_], scores: Scores) -> Scores:
    score = score.clip(0, 1)
    probabilities = np.stack([1 - score, score], axis=1)
    labels = tumour.astype(np.int64)
    return Scores(probabilities, labels, scores.groups, (NO_TUMOR, "tumor"), scores.models)
