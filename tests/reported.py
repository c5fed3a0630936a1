"""Reports made by hand: of scores, without a model."""

from collections.abc import Mapping
from typing import Any

from gliascope.evaluation.metrics import evaluate_scores
from gliascope.evaluation.reliability import reliability
from gliascope.evaluation.scores import Scores
from gliascope.recipes.run import EpochMetrics
from gliascope.reports.model import PredictionTable, RunFacts, TrainedModel
from gliascope.reports.report import ProtocolReport, Report
from gliascope.uncertainty.calibrator import CalibratorInfo, SubspaceInfo
from gliascope.uncertainty.features import OOD_FEATURES

CALIBRATOR = CalibratorInfo(
    temperature=0.5,
    level=0.99,
    ood={name: SubspaceInfo(noise=1.0, scale=1.0) for name in OOD_FEATURES},
    training_slices=2000,
)
TABLE = PredictionTable(sha256="5eed", predictions="predictions.csv", columns={"file": "path"})
TRAINED = TrainedModel(
    sha256="5eed",
    onnx_bytes=100,
    parameters=3_376_164,
    seconds=8.0,
    activation_maps=True,
    calibrator=CALIBRATOR,
)
RUN = RunFacts(
    version="0.1.0",
    classes=("glioma", "no_tumor"),
    protocol="official",
    split_seed=0,
    split="5111",
    store="5702e",
    slices={"train": 60},
    weights_licence=None,
    environment={"python": "3.12.4", "device": "cpu"},
    seed=0,
    deterministic=True,
)


def protocol_report(
    scores: Scores, description: str = "By hand.", resamples: int = 50, **parts: Any
) -> ProtocolReport:
    """What a report says of these scores; the rest as `parts`."""
    return ProtocolReport(
        **dict(evaluate_scores(scores, resamples))
        | {
            "description": description,
            "leaky": False,
            "deployed": True,
            "reliability": tuple(reliability(scores)),
        }
        | parts
    )


def make_report(protocols: Mapping[str, ProtocolReport], **parts: Any) -> Report:
    """A report that holds the least there is, but for `parts`."""
    least = {"title": "Bare", "created": "today", "model": TABLE}
    return Report(**least | {"protocols": dict(protocols)} | parts)


def epoch(number: int, **values: float) -> EpochMetrics:
    """A row of the training curves."""
    row = {"stage": 0, "lr": 1e-3, "train_loss": 1.0, "train_accuracy": 0.8, "val_loss": 1.0, "seconds": 5.0}
    return EpochMetrics.model_validate(row | {"val_accuracy": 0.5, "epoch": number} | values)
