"""The outlier score: the distance of a slice from the training slices; up to 1, a slice is in scope.

The score combines one Mahalanobis distance for each of `features.OOD_FEATURES`: the network's features, in
which pictures of other things are far away, and grey levels and layout, which a network may ignore. These
features and the distance were chosen by how well they separate slices from other pictures (`python -m
benchmarks scope`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gliascope.uncertainty.features import OodFeature, OodFeatures

Floats = NDArray[np.float64]

COMPONENTS = 256
"""The most principal components of a subspace."""
ACCEPTANCE = 0.95
"""Share of validation slices that are in scope."""
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Mean and covariance of training slices in one feature of width w, as probabilistic PCA fits them.

    Attributes
    ----------
    mean : float32 (w,)
    components : float32 (k, w)
        Orthonormal.
    variances : float32 (k,)
        Along the components.
    noise : float
        Variance along every direction that is orthogonal to the components.

    References
    ----------
    Tipping & Bishop, J. R. Stat. Soc. B 61:611, 1999.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variances: NDArray[np.float32]
    noise: float

    def distances(self, features: NDArray[np.float32]) -> Floats:
        """Mahalanobis distances, float64 (n,), of slices (n, w) from the mean (Lee et al., NeurIPS 2018)."""
        away = features.astype(np.float64) - self.mean
        inside = away @ self.components.T.astype(np.float64)
        outside = np.maximum((away**2).sum(axis=1) - (inside**2).sum(axis=1), 0)
        return np.asarray(np.sqrt((inside**2 / self.variances).sum(axis=1) + outside / self.noise))


def fit_subspace(features: NDArray[np.float32], seed: int = 0) -> Subspace:
    """Fit a Subspace to training slices (n, w), by probabilistic PCA: a covariance that few slices determine.

    It has at most COMPONENTS, and half of what n slices span, so that the noise is estimated from as many
    directions again. Raises ValueError for fewer than two slices.
    """
    from sklearn.decomposition import PCA

    if len(features) < 2:
        raise ValueError(f"expected at least two slices but got {len(features)}")
    k = max(1, min(COMPONENTS, min(features.shape) // 2))
    fitted = PCA(k, svd_solver="randomized", random_state=seed).fit(features.astype(np.float64))
    return Subspace(
        fitted.mean_.astype(np.float32),
        fitted.components_.astype(np.float32),
        np.maximum(fitted.explained_variance_, _TINY).astype(np.float32),
        max(float(fitted.noise_variance_), _TINY),
    )


@dataclass(frozen=True, slots=True, eq=False)
class OodScorer:
    """A Subspace for each feature, and the scale that distances in that feature are divided by."""

    subspaces: Mapping[OodFeature, Subspace]
    scales: Mapping[OodFeature, float]

    def outlier_scores(self, features: OodFeatures) -> Floats:
        """Outlier scores, float64 (n,), of slices: past 1, a slice is out of scope."""
        distances = [space.distances(features[name]) for name, space in self.subspaces.items()]
        return combined_score(distances, [self.scales[name] for name in self.subspaces])


def fit_ood_scorer(training: OodFeatures, validation: OodFeatures) -> OodScorer:
    """Fit subspaces to training slices, and scales that put ACCEPTANCE of the validation slices in scope."""
    subspaces = {name: fit_subspace(values) for name, values in training.items()}
    scales = fit_scales([space.distances(validation[name]) for name, space in subspaces.items()])
    return OodScorer(subspaces, dict(zip(subspaces, scales, strict=True)))


def combined_score(distances: Sequence[Floats], scales: Sequence[float]) -> Floats:
    """Root mean square over the features of their distances (n,), each divided by its scale: float64 (n,)."""
    scaled = [(one / scale) ** 2 for one, scale in zip(distances, scales, strict=True)]
    return np.asarray(np.sqrt(np.mean(scaled, 0)))


def fit_scales(distances: Sequence[Floats], acceptance: float = ACCEPTANCE) -> list[float]:
    """The scales at which the combined score of a share `acceptance` of slices is at most 1.

    distances: of validation slices, (n,) for each feature. The scales are in proportion to what the same
    share is within in each feature alone, so that no feature counts more than another.
    """
    own = [max(_quantile(one, acceptance), _TINY) for one in distances]
    joint = max(_quantile(combined_score(distances, own), acceptance), _TINY)
    joint *= 1 + 8 * np.finfo(np.float64).eps  # rounding must not push out the slice at the limit
    return [scale * joint for scale in own]


def _quantile(values: Floats, share: float) -> float:
    return float(np.quantile(values, share, method="higher"))
