"""What training slices look like in, what tells other pictures from them out.

Distances are measured in two spaces, and the longer one counts: the network's features, in which a picture
of something else is far, and the shares of grey levels, to which a network may well be blind. Both, and the
distance itself, were chosen by how well they tell slices from other pictures (`python -m benchmarks scope`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

COMPONENTS = 256
ACCEPTANCE = 0.95
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


def units(distances: Sequence[NDArray[np.float64]], acceptance: float = ACCEPTANCE) -> list[float]:
    """What to divide the distances of validation slices in each space by, (n,) each.

    Then a share `acceptance` of the slices is within 1 in all spaces, and the spaces leave out equally many.
    """
    own = [max(_quantile(one, acceptance), _TINY) for one in distances]
    joint = _quantile(
        np.max([one / unit for one, unit in zip(distances, own, strict=True)], axis=0), acceptance
    )
    return [unit * max(joint, _TINY) for unit in own]


def _quantile(values: NDArray[np.float64], share: float) -> float:
    return float(np.quantile(values, share, method="higher"))
