import numpy as np
import pytest
from sklearn.decomposition import PCA

from gliascope.uncertainty.features import OOD_FEATURES
from gliascope.uncertainty.ood import (
    COMPONENTS,
    OodScorer,
    Subspace,
    combined_score,
    fit_ood_scorer,
    fit_scales,
    fit_subspace,
)


def features(n: int, seed: int, width: int = 60) -> np.ndarray:
    """In few directions much varies, in most of them little."""
    random = np.random.default_rng(seed)
    return (random.normal(size=(n, width)) * np.geomspace(10, 0.1, width) + 1).astype(np.float32)


def test_distances_are_those_of_scikit_learns_density() -> None:
    reference, others = features(300, 0), features(50, 1)
    fitted = PCA(30, svd_solver="full").fit(reference.astype(np.float64))
    expected = -2 * fitted.score_samples(others.astype(np.float64))  # and a constant
    found = fit_subspace(reference).distances(others) ** 2
    assert np.ptp(found - expected) < 0.02 * np.ptp(expected)


def test_what_varies_where_training_slices_do_not_is_far() -> None:
    reference = features(400, 0)
    measure = fit_subspace(reference).distances
    usual = measure(features(400, 1))
    strange = features(400, 2)
    strange[:, -1] += 5  # half of what is usual in another direction
    assert np.median(measure(strange)) > np.quantile(usual, 0.99)


@pytest.mark.parametrize(("n", "width"), [(2, 1280), (5, 3), (40, 1), (700, 900)])
def test_any_shape_can_be_fitted(n: int, width: int) -> None:
    reference = features(n, 0, width)
    assert len(fit_subspace(reference).components) == max(1, min(COMPONENTS, min(n, width) // 2))
    assert np.isfinite(fit_subspace(reference).distances(features(4, 1, width))).all()


def test_features_that_do_not_vary_have_finite_distances() -> None:
    same = np.ones((20, 8), dtype=np.float32)
    space = fit_subspace(same)
    assert np.isfinite(space.distances(np.zeros((2, 8), dtype=np.float32))).all()
    assert (space.distances(same) == 0).all()


def test_one_slice_is_too_few() -> None:
    with pytest.raises(ValueError, match="at least two slices but got 1"):
        fit_subspace(features(1, 0))


def test_distance_weighs_each_direction_by_its_variance_and_each_feature_by_its_scale() -> None:
    space = Subspace(
        mean=np.zeros(2, dtype=np.float32),
        components=np.array([[1.0, 0.0]], dtype=np.float32),
        variances=np.array([4.0], dtype=np.float32),
        noise=1.0,
    )
    scorer = OodScorer(
        dict.fromkeys(OOD_FEATURES, space), {"network": 2.0, "grey_levels": 1.0, "layout": 4.0}
    )
    points = {
        "network": [[4.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.0, 0.0]],  # 2, 4, 0 and 0 at a scale of 2
        "grey_levels": [[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [4.0, 0.0]],  # 0, 1, 3 and 2 at a scale of 1
        "layout": [[0.0, 0.0], [0.0, 8.0], [0.0, 0.0], [16.0, 0.0]],  # 0, 8, 0 and 8 at a scale of 4
    }
    features = {name: np.array(points[name], dtype=np.float32) for name in OOD_FEATURES}
    expected = np.sqrt(np.array([1, 4 + 1 + 4, 9, 4 + 4]) / 3)
    assert scorer.outlier_scores(features) == pytest.approx(expected)


def test_a_fitted_scorer_has_its_share_of_validation_slices_in_scope() -> None:
    training = {name: features(300, seed) for seed, name in enumerate(OOD_FEATURES)}
    validation = {name: features(200, 10 + seed) for seed, name in enumerate(OOD_FEATURES)}
    scorer = fit_ood_scorer(training, validation)
    assert 0.95 <= (scorer.outlier_scores(validation) <= 1).mean() <= 0.96
    strange = {name: values + 20 for name, values in validation.items()}
    assert (scorer.outlier_scores(strange) > 1).all()


def test_scales_accept_their_share_and_no_feature_counts_more_than_another() -> None:
    random = np.random.default_rng(0)
    distances = [random.exponential(size=4000), 100 * random.normal(5, 1, 4000)]
    scales = fit_scales(distances)
    assert (combined_score(distances, scales) <= 1).mean() == pytest.approx(0.95, abs=0.001)
    own = [np.quantile(one, 0.95) for one in distances]
    assert scales[0] / own[0] == pytest.approx(scales[1] / own[1], rel=0.01)
    assert fit_scales([np.array([3.0])]) == pytest.approx([3.0])
    assert all(scale > 0 for scale in fit_scales([np.zeros(5), np.zeros(5)]))


def test_the_slice_that_sets_the_scale_is_within_it_to_the_last_bit() -> None:
    for seed in range(300):
        random = np.random.default_rng(seed)
        size = int(random.integers(5, 400))
        distances = [random.exponential(size=size) * 10 ** random.uniform(-3, 3) for _ in range(3)]
        assert (combined_score(distances, fit_scales(distances)) <= 1).mean() >= 0.95
