from functools import partial

import numpy as np
import pytest
from sklearn.decomposition import PCA

from gliascope.evaluation.outliers import COMPONENTS, fit_subspace
from gliascope.inference.judge import distances


def features(n: int, seed: int, width: int = 60) -> np.ndarray:
    """In few directions much varies, in most of them little."""
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, width)) * np.geomspace(10, 0.1, width) + 1).astype(np.float32)


def fitted_on(reference: np.ndarray) -> partial:
    space = fit_subspace(reference)
    return partial(
        distances,
        mean=space.mean,
        components=space.components,
        variances=space.variances,
        noise=space.noise,
    )


def test_distances_are_those_of_scikit_learns_density() -> None:
    reference, others = features(300, 0), features(50, 1)
    fitted = PCA(30, svd_solver="full").fit(reference.astype(np.float64))
    expected = -2 * fitted.score_samples(others.astype(np.float64))  # and a constant
    found = fitted_on(reference)(others) ** 2
    assert np.ptp(found - expected) < 0.02 * np.ptp(expected)


def test_what_varies_where_training_slices_do_not_is_far() -> None:
    reference = features(400, 0)
    measure = fitted_on(reference)
    usual = measure(features(400, 1))
    strange = features(400, 2)
    strange[:, -1] += 5  # half of what is usual in another direction
    assert np.median(measure(strange)) > np.quantile(usual, 0.99)


@pytest.mark.parametrize(("n", "width"), [(2, 1280), (5, 3), (40, 1), (700, 900)])
def test_any_shape_can_be_fitted(n: int, width: int) -> None:
    reference = features(n, 0, width)
    assert len(fit_subspace(reference).components) == max(1, min(COMPONENTS, min(n, width) // 2))
    assert np.isfinite(fitted_on(reference)(features(4, 1, width))).all()


def test_features_that_do_not_vary_have_finite_distances() -> None:
    same = np.ones((20, 8), dtype=np.float32)
    assert np.isfinite(fitted_on(same)(np.zeros((2, 8), dtype=np.float32))).all()
    assert (fitted_on(same)(same) == 0).all()


def test_one_slice_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least two slices but got 1"):
        fit_subspace(features(1, 0))
