"""What training slices look like in, what tells other pictures from them out.

Distances are measured in three spaces: the network's features, in which a picture of something else is far,
and two to which a network may well be blind, the shares of grey levels and where a slice is bright and dark.
These, and the distance itself, were chosen by how well they tell slices from other pictures
(`python -m benchmarks scope`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 256
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Subspace:
    """Where slices lie in a space of w axes: mean (w,), orthonormal components (k, w), their variances (k,).

    noise: variance in every other direction.
    """

    mean: NDArray[np.float32]
    components: NDArray[np.float32]
    variances: NDArray[np.float32]
    noise: float


def fit_subspace(looks: NDArray[np.float32], seed: int = 0) -> Subspace:
    """Probabilistic principal components of training slices (n, w): a covariance that few slices can tell.

    Tipping & Bishop, J. R. Stat. Soc. B 61:611, 1999. At most COMPONENTS, and half of what n slices span, so
    that the noise is known from as many directions again. Raises ValueError for fewer than two slices.
    """
    from sklearn.decomposition import PCA

    if len(looks) < 2:
        raise ValueError(f"expected at least two slices but got {len(looks)}")
    k = max(1, min(COMPONENTS, min(looks.shape) // 2))
    fitted = PCA(k, svd_solver="randomized", random_state=seed).fit(looks.astype(np.float64))
    return Subspace(
        fitted.mean_.astype(np.float32),
        fitted.components_.astype(np.float32),
        np.maximum(fitted.explained_variance_, _TINY).astype(np.float32),
        max(float(fitted.noise_variance_), _TINY),
    )
