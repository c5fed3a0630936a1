"""What the deployed Judge does on test slices: the part of a report that says what an answer is worth."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import SetMetrics, coverage_bounds, evaluate_sets, needed
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.verdicts import evaluate_verdicts, histogram
from gliascope.inference.judge import METHODS, VERDICTS, Judge, Judgement
from gliascope.pipeline.model import Answers
from gliascope.reports.uncertainty import Calibration, PredictionSets, SetsAtLevel, Uncalibrated, Verdicts

CURVE = (0.8, 0.85, 0.9, 0.95, 0.975, 0.99)  # levels that coverage is drawn at


def calibration(pooled: Scores, said: Sequence[Answers]) -> Calibration:
    """Calibration errors of the answers and, where there are Judges, of what the graphs gave.

    pooled: what was `said` by one model or several, in that order, and the truth.
    """
    before = None
    if _judges(said):
        raw = np.concatenate([one.outputs.probabilities for one in said if one.outputs])
        as_given = replace(pooled, probabilities=raw)
        before = Uncalibrated(
            **dict(evaluate_calibration(as_given)), reliability=tuple(reliability(as_given))
        )
    return Calibration(
        **dict(evaluate_calibration(pooled)), temperatures=tuple(temperatures(said)), before=before
    )


def temperatures(said: Sequence[Answers]) -> list[float]:
    """What each model's logits are divided by; none where a model has no Judge."""
    return [judge.info.temperature for judge in _judges(said)]


def prediction_sets(pooled: Scores, said: Sequence[Answers]) -> PredictionSets | None:
    """What prediction sets do, or None without a Judge."""
    judges = _judges(said)
    if not judges:
        return None
    first = judges[0]
    level = min(judge.info.level for judge in judges)
    groups = {method: [judge.by(method, level).groups for judge in judges] for method in METHODS}
    deployed = groups[first.info.method]

    def measured(method: str, level: float) -> SetMetrics:
        sets = [
            judge.by(method, level).sets(one.probabilities) for judge, one in zip(judges, said, strict=True)
        ]
        return evaluate_sets(pooled, np.concatenate(sets))

    curve = {one: measured(first.info.method, one) for one in CURVE if min(deployed) >= needed(one)}
    return PredictionSets(
        method=first.info.method,
        level=level,
        groups=tuple(deployed),
        needed=needed(level),
        bounds=coverage_bounds(level, deployed[0], pooled.group_count) if len(judges) == 1 else None,
        methods={
            method: measured(method, level)
            for method in METHODS
            if method == first.info.method or min(groups[method]) >= needed(level)
        },
        curve=tuple(
            SetsAtLevel(level=one, coverage=found.coverage, size=found.size) for one, found in curve.items()
        ),
    )


def verdicts(pooled: Scores, said: Sequence[Answers]) -> Verdicts | None:
    """What verdicts do, or None without a Judge."""
    if not _judges(said):
        return None
    judgements = [_judgement(one) for one in said]
    given = [verdict for judgement in judgements for verdict in judgement.verdicts]
    distances = outlier_scores(said)
    assert distances is not None  # noqa: S101 (there are Judges)
    return Verdicts(
        by_verdict=evaluate_verdicts(pooled, given, VERDICTS), outlier_scores=histogram(distances)
    )


def outlier_scores(said: Sequence[Answers]) -> NDArray[np.float64] | None:
    """Of all slices, (n,), as each model's own Judge scores them; None without a Judge."""
    if not _judges(said):
        return None
    found = [one.judge.outlier_scores(one.outputs.looks) for one in said if one.judge and one.outputs]
    return np.concatenate(found)


def _judges(said: Sequence[Answers]) -> list[Judge]:
    """The Judges of all models; none where one has none."""
    judges = [one.judge for one in said if one.judge]
    return judges if len(judges) == len(said) else []


def _judgement(one: Answers) -> Judgement:
    assert one.judge is not None and one.outputs is not None  # noqa: S101 (`_judges` has looked)
    return one.judge(one.outputs.logits, one.outputs.looks)
