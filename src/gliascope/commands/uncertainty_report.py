"""What the deployed Calibrator does on test slices: calibration, prediction sets, verdicts of a report."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gliascope.commands.evaluated_model import ModelPredictions
from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import SetMetrics, evaluate_sets
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.verdicts import evaluate_verdicts, histogram
from gliascope.reports.uncertainty import Calibration, PredictionSets, SetsAtLevel, Uncalibrated, Verdicts
from gliascope.uncertainty.calibrator import VERDICTS, Assessment, Calibrator
from gliascope.uncertainty.conformal import coverage_bounds, groups_needed

METHOD = "lac"  # of the prediction sets
CURVE_LEVELS = (0.8, 0.85, 0.9, 0.95, 0.975, 0.99)  # levels that coverage is drawn at


def calibration(pooled: Scores, predictions: Sequence[ModelPredictions]) -> Calibration:
    """Calibration errors of the answers and, where there are Judges, of what the graphs gave.

    pooled: what was `said` by one model or several, in that order, and the truth.
    """
    before = None
    if _calibrators(predictions):
        raw = np.concatenate([one.outputs.probabilities for one in predictions if one.outputs])
        as_given = replace(pooled, probabilities=raw)
        before = Uncalibrated(
            **dict(evaluate_calibration(as_given)), reliability=tuple(reliability(as_given))
        )
    return Calibration(
        **dict(evaluate_calibration(pooled)), temperatures=tuple(temperatures(predictions)), before=before
    )


def temperatures(predictions: Sequence[ModelPredictions]) -> list[float]:
    """What each model's logits are divided by; none where a model has no Calibrator."""
    return [calibrator.temperature for calibrator in _calibrators(predictions)]


def prediction_sets(pooled: Scores, predictions: Sequence[ModelPredictions]) -> PredictionSets | None:
    """What prediction sets do, or None without a Calibrator."""
    calibrators = _calibrators(predictions)
    if not calibrators:
        return None
    level = min(calibrator.level for calibrator in calibrators)
    groups = tuple(calibrator.groups for calibrator in calibrators)

    def measured(level: float) -> SetMetrics:
        pairs = zip(calibrators, predictions, strict=True)
        sets = [calibrator.prediction_sets(one.probabilities, level) for calibrator, one in pairs]
        return evaluate_sets(pooled, np.concatenate(sets))

    curve = {one: measured(one) for one in CURVE_LEVELS if min(groups) >= groups_needed(one)}
    return PredictionSets(
        method=METHOD,
        level=level,
        groups=groups,
        needed=groups_needed(level),
        bounds=coverage_bounds(level, groups[0], pooled.group_count) if len(groups) == 1 else None,
        methods={METHOD: measured(level)},
        curve=tuple(
            SetsAtLevel(level=one, coverage=found.coverage, size=found.size) for one, found in curve.items()
        ),
    )


def verdicts(pooled: Scores, predictions: Sequence[ModelPredictions]) -> Verdicts | None:
    """What verdicts do, or None without a Calibrator."""
    if not _calibrators(predictions):
        return None
    given = [verdict for one in predictions for verdict in _assessment(one).verdicts]
    distances = outlier_scores(predictions)
    assert distances is not None  # noqa: S101 (there are Calibrators)
    return Verdicts(
        by_verdict=evaluate_verdicts(pooled, given, VERDICTS), outlier_scores=histogram(distances)
    )


def outlier_scores(predictions: Sequence[ModelPredictions]) -> NDArray[np.float64] | None:
    """Of all slices, (n,), as each model's own Calibrator scores them; None without a Calibrator."""
    if not _calibrators(predictions):
        return None
    pairs = [(one.calibrator, one.outputs) for one in predictions if one.calibrator and one.outputs]
    return np.concatenate(
        [calibrator.ood.outlier_scores(outputs.ood_features) for calibrator, outputs in pairs]
    )


def _calibrators(said: Sequence[ModelPredictions]) -> list[Calibrator]:
    """The Calibrators of all models; none where one has none."""
    found = [one.calibrator for one in said if one.calibrator]
    return found if len(found) == len(said) else []


def _assessment(one: ModelPredictions) -> Assessment:
    assert one.calibrator is not None and one.outputs is not None  # noqa: S101 (`_calibrators` has looked)
    return one.calibrator.assess(one.outputs.logits, one.outputs.ood_features)
