"""Calibration, prediction sets and verdicts of the report, measured on test slices.

In this module `pooled` are the probabilities and labels of all test slices, and `predictions` are those of
each model (one for each fold), in the same order.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gliascope.commands.evaluated_model import ModelPredictions
from gliascope.evaluation.calibration import evaluate_calibration
from gliascope.evaluation.conformal import SetMetrics, evaluate_sets
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.verdicts import evaluate_verdicts, outlier_histogram
from gliascope.reports.uncertainty import Calibration, PredictionSets, SetsAtLevel, Uncalibrated, Verdicts
from gliascope.uncertainty.calibrator import VERDICTS, Assessment, Calibrator
from gliascope.uncertainty.conformal import coverage_bounds, groups_needed

METHOD = "lac"  # of the prediction sets
CURVE_LEVELS = (0.8, 0.85, 0.9, 0.95, 0.975, 0.99)  # levels of the coverage curve


def calibration(pooled: Scores, predictions: Sequence[ModelPredictions]) -> Calibration:
    """Measure calibration errors, before and after calibration if the models have calibrators.

    Parameters
    ----------
    pooled
        Probabilities and labels of all test slices.
    predictions
        The predictions of each model, in the same order.
    """
    before = None
    if _calibrators(predictions):
        raw = np.concatenate([one.outputs.probabilities for one in predictions if one.outputs])
        uncalibrated = replace(pooled, probabilities=raw)
        before = Uncalibrated(
            **dict(evaluate_calibration(uncalibrated)), reliability=tuple(reliability(uncalibrated))
        )
    return Calibration(
        **dict(evaluate_calibration(pooled)), temperatures=tuple(temperatures(predictions)), before=before
    )


def temperatures(predictions: Sequence[ModelPredictions]) -> list[float]:
    """Return the temperature of each model; empty if a model has no calibrator."""
    return [calibrator.temperature for calibrator in _calibrators(predictions)]


def prediction_sets(pooled: Scores, predictions: Sequence[ModelPredictions]) -> PredictionSets | None:
    """Measure coverage and size of the prediction sets; None if a model has no calibrator."""
    calibrators = _calibrators(predictions)
    if not calibrators:
        return None
    level = min(calibrator.level for calibrator in calibrators)
    groups = tuple(calibrator.groups for calibrator in calibrators)

    def measure(level: float) -> SetMetrics:
        pairs = zip(calibrators, predictions, strict=True)
        sets = [calibrator.prediction_sets(one.probabilities, level) for calibrator, one in pairs]
        return evaluate_sets(pooled, np.concatenate(sets))

    curve = {one: measure(one) for one in CURVE_LEVELS if min(groups) >= groups_needed(one)}
    return PredictionSets(
        method=METHOD,
        level=level,
        groups=groups,
        needed=groups_needed(level),
        bounds=coverage_bounds(level, groups[0], pooled.group_count) if len(groups) == 1 else None,
        methods={METHOD: measure(level)},
        curve=tuple(
            SetsAtLevel(level=one, coverage=metrics.coverage, size=metrics.size)
            for one, metrics in curve.items()
        ),
    )


def verdicts(pooled: Scores, predictions: Sequence[ModelPredictions]) -> Verdicts | None:
    """Measure how often each verdict is given and right; None if a model has no calibrator."""
    if not _calibrators(predictions):
        return None
    given = [verdict for one in predictions for verdict in _assessment(one).verdicts]
    distances = outlier_scores(predictions)
    assert distances is not None  # noqa: S101 (every model has a calibrator)
    return Verdicts(
        by_verdict=evaluate_verdicts(pooled, given, VERDICTS), outlier_scores=outlier_histogram(distances)
    )


def outlier_scores(predictions: Sequence[ModelPredictions]) -> NDArray[np.float64] | None:
    """Return the out-of-distribution scores of all slices, (n,); None if a model has no calibrator."""
    if not _calibrators(predictions):
        return None
    pairs = [(one.calibrator, one.outputs) for one in predictions if one.calibrator and one.outputs]
    return np.concatenate(
        [calibrator.ood.outlier_scores(outputs.ood_features) for calibrator, outputs in pairs]
    )


def _calibrators(predictions: Sequence[ModelPredictions]) -> list[Calibrator]:
    """Return the calibrators of all models; empty if a model has none."""
    calibrators = [one.calibrator for one in predictions if one.calibrator]
    return calibrators if len(calibrators) == len(predictions) else []


def _assessment(one: ModelPredictions) -> Assessment:
    assert one.calibrator is not None and one.outputs is not None  # noqa: S101 (callers have checked)
    return one.calibrator.assess(one.outputs.logits, one.outputs.ood_features)
