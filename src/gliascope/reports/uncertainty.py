"""Calibration, prediction sets and verdicts, as report.json holds them."""

from pydantic import Field

from gliascope.evaluation.calibration import CalibrationErrors
from gliascope.evaluation.conformal import SetMetrics
from gliascope.evaluation.estimate import Estimate, FrozenModel
from gliascope.evaluation.reliability import ReliabilityBin
from gliascope.evaluation.verdicts import Histogram, VerdictMetrics


class Uncalibrated(CalibrationErrors):
    """Calibration errors of the probabilities before calibration."""

    reliability: tuple[ReliabilityBin, ...]


class Calibration(CalibrationErrors):
    """Calibration errors of the probabilities that a user gets."""

    temperatures: tuple[float, ...] = Field(
        default=(),
        description="what each model's logits are divided by; empty where a model is not calibrated",
    )
    before: Uncalibrated | None = Field(
        default=None, description="of the probabilities before calibration; null without one"
    )


class SetsAtLevel(FrozenModel):
    """Prediction sets of the deployed method at one level."""

    level: float
    coverage: Estimate
    size: Estimate


class PredictionSets(FrozenModel):
    """Coverage and size of prediction sets on the test slices."""

    method: str = Field(description="that is deployed")
    level: float = Field(description="that is deployed: the share of groups whose set is to hold the truth")
    groups: tuple[int, ...] = Field(description="how many groups each model was calibrated on")
    needed: int = Field(description="how many groups the level takes")
    bounds: tuple[float, float] | None = Field(
        description="where 95 % of such tests find coverage; null for several models, each calibrated apart"
    )
    methods: dict[str, SetMetrics] = Field(description="methods with too few groups are left out")
    curve: tuple[SetsAtLevel, ...] = Field(default=(), description="the deployed method at other levels")


class Verdicts(FrozenModel):
    """How many findings are accepted, uncertain or out of scope, and how many of these are correct."""

    by_verdict: dict[str, VerdictMetrics]
    outlier_scores: Histogram
