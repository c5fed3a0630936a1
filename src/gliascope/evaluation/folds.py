"""How much the models of one protocol differ: the models of its folds, and of repeats of all folds."""

from collections.abc import Mapping

import numpy as np
from pydantic import Field

from gliascope.evaluation.estimate import FrozenModel
from gliascope.evaluation.metrics import metric_values
from gliascope.evaluation.scores import Scores


class FoldMetrics(FrozenModel):
    """Metrics of one fold, or of one repeat."""

    name: str
    n: int = Field(description="test slices")
    accuracy: float
    balanced_accuracy: float


class Spread(FrozenModel):
    """Mean and sample standard deviation. The latter is no standard error: folds share training slices."""

    mean: float
    sd: float


class FoldSummary(FrozenModel):
    """Metrics of each fold (or repeat), and their spread."""

    each: tuple[FoldMetrics, ...]
    accuracy: Spread
    balanced_accuracy: Spread


class Folds(FoldSummary):
    """Metrics of each fold and, where folds were drawn several times, of each repeat of all folds."""

    repeats: FoldSummary | None = Field(description="null where the folds were drawn once")


def summarise_folds(folds: Mapping[str, Scores]) -> FoldSummary:
    """Compute the metrics of each fold, by its name, and their mean and sample standard deviation."""
    each = []
    for name, scores in folds.items():
        values = metric_values(scores)
        each.append(
            FoldMetrics(
                name=name,
                n=len(scores),
                accuracy=float(values["accuracy"]),
                balanced_accuracy=float(values["balanced_accuracy"]),
            )
        )
    return FoldSummary(
        each=tuple(each),
        accuracy=_spread([one.accuracy for one in each]),
        balanced_accuracy=_spread([one.balanced_accuracy for one in each]),
    )


def _spread(values: list[float]) -> Spread:
    return Spread(mean=float(np.mean(values)), sd=float(np.std(values, ddof=1)))
