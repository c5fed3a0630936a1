"""The Calibrator of a Bundle: temperature, prediction sets and outlier score, and the verdicts from them."""

from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from gliascope.errors import GliascopeError
from gliascope.uncertainty.conformal import (
    Bools,
    conformal_quantile,
    fit_nonconformity,
    groups_needed,
    prediction_sets,
)
from gliascope.uncertainty.features import OOD_FEATURES, OodFeature, OodFeatures
from gliascope.uncertainty.ood import OodScorer, Subspace, fit_ood_scorer
from gliascope.uncertainty.temperature import Floats, calibrated_probabilities, fit_temperature, softmax

ACCEPTED, UNCERTAIN, OUT_OF_SCOPE, UNCHECKED = "accepted", "uncertain", "out of scope", "unchecked"
VERDICTS = (ACCEPTED, UNCERTAIN, OUT_OF_SCOPE)
_NONCONFORMITY = "nonconformity"
_ARRAYS = ("mean", "components", "variances")


class SubspaceInfo(BaseModel):
    """The numbers of one OOD feature; its arrays are in calibrator.npz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    noise: float = Field(gt=0, description="variance in every direction but the components")
    scale: float = Field(
        gt=0,
        description="what distances are divided by: a slice at this distance in each feature is in scope",
    )


class CalibratorInfo(BaseModel):
    """`calibrator` in bundle.json: the numbers of a Calibrator; its arrays are in calibrator.npz."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    temperature: float = Field(gt=0, description="what logits are divided by")
    level: float = Field(
        gt=0, lt=1, description="share of patients whose prediction sets hold the true class"
    )
    ood: dict[OodFeature, SubspaceInfo] = Field(min_length=len(OOD_FEATURES))  # all of them
    training_slices: int = Field(ge=0, description="number of slices that outlier scores are distances from")


@dataclass(frozen=True, slots=True)
class Assessment:
    """Probabilities, prediction sets, outlier scores and verdicts of n slices.

    Attributes
    ----------
    probabilities : float64 (n, classes)
        Calibrated where there is a Calibrator.
    sets : bool (n, classes)
        The prediction sets; None without a Calibrator.
    outlier_scores : float64 (n,)
        Distance from the training slices; past 1, a slice is out of scope. None without a Calibrator.
    verdicts : list of n str
        Each one of VERDICTS, or `unchecked`.
    """

    probabilities: Floats
    sets: Bools | None
    outlier_scores: Floats | None
    verdicts: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Calibrator:
    """Temperature, conformal prediction sets and outlier score, fitted on slices of a run's split.

    Attributes
    ----------
    temperature : float
        What logits are divided by.
    level : float
        Share of patients whose prediction sets hold the true class.
    nonconformity : float64 (groups,), ascending
        Nonconformity score of the true class, for one validation slice of each group.
    ood : OodScorer
        Computes the distance of a slice from the training slices.
    training_slices : int
        How many slices `ood` was fitted on.
    """

    temperature: float
    level: float
    nonconformity: Floats
    ood: OodScorer
    training_slices: int

    def assess(self, logits: NDArray[np.float32], features: OodFeatures) -> Assessment:
        """Assess n slices by their logits (n, classes) and OOD features."""
        probabilities, scores = self.calibrated(logits), self.ood.outlier_scores(features)
        sets = self.prediction_sets(probabilities)
        return Assessment(probabilities, sets, scores, verdicts(sets, scores))

    def calibrated(self, logits: NDArray[np.float32]) -> Floats:
        """Calibrated probabilities (n, classes) of logits (n, classes)."""
        return calibrated_probabilities(logits, self.temperature)

    def prediction_sets(self, probabilities: Floats, level: float | None = None) -> Bools:
        """Compute prediction sets.

        Parameters
        ----------
        probabilities : float64 (n, classes)
            Calibrated.
        level : float, optional
            By default the Calibrator's own.

        Returns
        -------
        bool (n, classes)
            All true where there were too few calibration groups for the level.
        """
        quantile = conformal_quantile(self.nonconformity, self.level if level is None else level)
        return prediction_sets(probabilities, quantile)

    @property
    def groups(self) -> int:
        """How many groups (patients) the prediction sets were calibrated on."""
        return len(self.nonconformity)

    def with_level(self, level: float) -> "Calibrator":
        """Change the level of prediction sets. Raises GliascopeError for too few calibration groups."""
        if not 0 < level < 1 or self.groups < groups_needed(level):
            most = f"at most {self.groups / (self.groups + 1):.4g}" if self.groups else "none"
            raise GliascopeError(
                f"level {level:g}: expected a level between 0 and 1 that the {self.groups} groups of the "
                f"calibration are enough for ({most})"
            )
        return replace(self, level=level)

    @property
    def info(self) -> CalibratorInfo:
        """The numbers, for bundle.json; the arrays are in `to_bytes`."""
        return CalibratorInfo(
            temperature=self.temperature,
            level=self.level,
            ood={
                name: SubspaceInfo(noise=space.noise, scale=self.ood.scales[name])
                for name, space in self.ood.subspaces.items()
            },
            training_slices=self.training_slices,
        )

    def to_bytes(self) -> bytes:
        """Write the arrays as calibrator.npz; equal arrays give equal bytes."""
        arrays: dict[str, Any] = {_NONCONFORMITY: self.nonconformity}
        for feature, space in self.ood.subspaces.items():
            arrays |= {f"{feature}.{name}": getattr(space, name) for name in _ARRAYS}
        content = BytesIO()
        np.savez(content, **arrays)
        return content.getvalue()

    @classmethod
    def from_bytes(cls, info: CalibratorInfo, content: bytes) -> "Calibrator":
        """Read what `info` and `to_bytes` wrote. Raises ValueError, KeyError or OSError for anything else."""
        with np.load(BytesIO(content), allow_pickle=False) as arrays:
            subspaces = {
                feature: Subspace(**{name: arrays[f"{feature}.{name}"] for name in _ARRAYS}, noise=one.noise)
                for feature, one in info.ood.items()
            }
            nonconformity = arrays[_NONCONFORMITY]
        scales = {feature: one.scale for feature, one in info.ood.items()}
        ood = OodScorer(subspaces, scales)
        return cls(info.temperature, info.level, nonconformity, ood, info.training_slices)


def fit_calibrator(
    *,
    logits: NDArray[np.float32],
    labels: NDArray[np.int64],
    groups: NDArray[Any],
    features: OodFeatures,
    training_features: OodFeatures,
    level: float,
) -> Calibrator:
    """Fit a Calibrator on n validation slices, of groups that neither trained nor chose anything.

    Parameters
    ----------
    logits : float32 (n, classes)
        The graph's logits for the slices.
    labels : int64 (n,)
        The true class of each slice.
    groups : int64 or str (n,)
        Equal for slices of one group (patient).
    features : float32 (n, width) for each of OOD_FEATURES
        Of the validation slices; they set the scales of the outlier score.
    training_features : float32 (m, width) for each of OOD_FEATURES
        Of training slices, which outlier scores are distances from.
    level : float
        Of the prediction sets, between 0 and 1.
    """
    temperature = fit_temperature(logits, labels, len(np.unique(groups)))
    probabilities = calibrated_probabilities(logits, temperature)
    return Calibrator(
        temperature,
        level,
        nonconformity=fit_nonconformity(probabilities, labels, groups),
        ood=fit_ood_scorer(training_features, features),
        training_slices=len(training_features["network"]),
    )


def verdicts(sets: Bools, outlier_scores: Floats) -> list[str]:
    """Give each slice its verdict, one of VERDICTS.

    The verdict is `out of scope` where the outlier score is past 1 or is not a number; else `uncertain` where
    the prediction set does not hold exactly one class; else `accepted`.

    Parameters
    ----------
    sets : bool (n, classes)
        Prediction sets.
    outlier_scores : float64 (n,)
        Outlier scores.

    Examples
    --------
    >>> import numpy as np
    >>> sets = np.array([[True, False], [True, True], [True, False]])
    >>> verdicts(sets, np.array([0.5, 0.5, 1.5]))
    ['accepted', 'uncertain', 'out of scope']
    """
    certain = np.where(sets.sum(axis=1) == 1, ACCEPTED, UNCERTAIN)
    result: list[str] = np.where(outlier_scores <= 1, certain, OUT_OF_SCOPE).tolist()
    return result


def unchecked(logits: NDArray[np.float32]) -> Assessment:
    """Assess slices of a model without a Calibrator, by their logits (n, classes)."""
    return Assessment(softmax(logits), None, None, [UNCHECKED] * len(logits))
