from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from gliascope.errors import GliascopeError
from gliascope.uncertainty.calibrator import (
    Calibrator,
    CalibratorInfo,
    fit_calibrator,
    unchecked,
    verdicts,
)
from gliascope.uncertainty.features import OOD_FEATURES, OodFeatures
from gliascope.uncertainty.ood import OodScorer, Subspace
from gliascope.uncertainty.temperature import calibrated_probabilities, softmax


def make_calibrator(temperature: float = 2.0, level: float = 0.9) -> Calibrator:
    """Nineteen groups whose scores are 0.05, 0.10 …; three features of two axes, the first the component."""
    space = Subspace(
        mean=np.zeros(2, dtype=np.float32),
        components=np.array([[1.0, 0.0]], dtype=np.float32),
        variances=np.array([4.0], dtype=np.float32),
        noise=1.0,
    )
    ood = OodScorer(dict.fromkeys(OOD_FEATURES, space), {"network": 2.0, "grey_levels": 1.0, "layout": 4.0})
    return Calibrator(temperature, level, np.arange(1, 20) / 20, ood, training_slices=10)


def at_the_mean(n: int) -> OodFeatures:
    return {name: np.zeros((n, 2), dtype=np.float32) for name in OOD_FEATURES}


def written_and_read(calibrator: Calibrator) -> Calibrator:
    info = CalibratorInfo.model_validate_json(calibrator.info.model_dump_json())
    return Calibrator.from_bytes(info, calibrator.to_bytes())


def test_an_assessment_holds_calibrated_probabilities_and_what_follows_from_them() -> None:
    logits = np.array([[2.0, 0.0, -2.0], [20.0, 0.0, 0.0]], dtype=np.float32)
    features = {**at_the_mean(2), "network": np.array([[0, 0], [0, 8]], dtype=np.float32)}
    found = make_calibrator().assess(logits, features)
    assert found.probabilities == pytest.approx(softmax(logits / 2))
    assert found.outlier_scores == pytest.approx(np.array([0, 4 / 3**0.5]))
    assert found.sets is not None and found.sets.tolist() == [[True, True, False], [True, False, False]]
    assert found.verdicts == ["uncertain", "out of scope"]


def test_calibration_slices_are_in_their_own_sets_to_the_last_bit() -> None:
    """Fitted and applied by the same arithmetic, through float32 logits and a file."""
    for seed in range(100):
        random = np.random.default_rng(seed)
        logits = (3 * random.normal(size=(60, 4))).astype(np.float32)
        labels = random.integers(0, 4, 60)
        temperature = float(random.uniform(0.3, 2))
        scores = np.sort(1 - calibrated_probabilities(logits, temperature)[np.arange(60), labels])
        again = written_and_read(replace(make_calibrator(temperature), nonconformity=scores))
        sets = again.prediction_sets(again.calibrated(logits))
        assert sets[np.arange(60), labels].sum() == np.ceil(61 * 0.9)


def test_verdicts() -> None:
    """Out of scope comes first; what is in scope is accepted if its set is of one class, and not of none."""
    sure, torn, lost, flat = [0.95, 0.03, 0.02], [0.5, 0.48, 0.02], [0.08, 0.08, 0.84], [0.04, 0.48, 0.48]
    calibrator = make_calibrator()  # the quantile is the 18th score of 19, 0.9: at least 0.1 is in the set
    sets = calibrator.prediction_sets(np.array([sure, torn, lost, sure, flat]))
    assert sets.sum(axis=1).tolist() == [1, 2, 1, 1, 2]
    empty = calibrator.prediction_sets(np.array([[0.45, 0.3, 0.25]]), level=0.5)
    assert empty.sum() == 0
    given = verdicts(np.concatenate([sets, empty]), np.array([0.5, 1.0, 0.5, 1.01, 2.0, 0.0]))
    assert given == ["accepted", "uncertain", "accepted", "out of scope", "out of scope", "uncertain"]
    assert verdicts(sets[:1], np.array([np.nan])) == ["out of scope"]


def test_another_level_is_another_quantile_and_too_high_a_one_an_error() -> None:
    calibrator, probabilities = make_calibrator(), np.array([[0.5, 0.3, 0.15, 0.05]])
    assert calibrator.with_level(0.95).prediction_sets(probabilities).sum() == 4
    assert calibrator.prediction_sets(probabilities).sum() == 3
    assert calibrator.with_level(0.5).prediction_sets(probabilities).sum() == 1
    assert calibrator.with_level(0.5).level == 0.5
    for level in (0.96, 0.99, 0.0, 1.0, 7.0):
        with pytest.raises(GliascopeError, match=r"the 19 groups .*at most 0\.95"):
            calibrator.with_level(level)
    assert calibrator.prediction_sets(np.array([[1.0, 0.0, 0.0]]), level=0.99).all()


def test_no_ood_feature_may_be_missing() -> None:
    content = make_calibrator().info.model_dump()
    del content["ood"]["layout"]
    with pytest.raises(ValidationError, match="at least 3 items"):
        CalibratorInfo.model_validate(content)


def test_it_is_the_same_after_writing_and_reading() -> None:
    calibrator = make_calibrator()
    again = written_and_read(calibrator)
    assert again.to_bytes() == calibrator.to_bytes()
    assert again.info == calibrator.info
    assert np.array_equal(again.nonconformity, calibrator.nonconformity)
    for name, space in calibrator.ood.subspaces.items():
        for array in ("mean", "components", "variances"):
            assert np.array_equal(getattr(again.ood.subspaces[name], array), getattr(space, array))


def test_arrays_of_another_kind_are_refused() -> None:
    calibrator = make_calibrator()
    with pytest.raises(ValueError, match="pickled"):
        Calibrator.from_bytes(calibrator.info, b"junk")
    other = OodScorer({"network": calibrator.ood.subspaces["network"]}, {"network": 1.0})
    with pytest.raises(KeyError, match=r"grey_levels\.mean"):
        Calibrator.from_bytes(calibrator.info, replace(calibrator, ood=other).to_bytes())


def test_fitting_uses_one_slice_a_group_and_all_slices_for_the_rest() -> None:
    random = np.random.default_rng(0)
    labels, groups = np.arange(120) % 4, np.arange(120) // 3
    logits = (4 * np.eye(4)[labels] + random.normal(size=(120, 4))).astype(np.float32)

    def drawn(n: int) -> OodFeatures:
        return {name: random.normal(size=(n, 6)).astype(np.float32) for name in OOD_FEATURES}

    validation = drawn(120)
    fitted = fit_calibrator(
        logits=logits,
        labels=labels,
        groups=groups,
        features=validation,
        training_features=drawn(50),
        level=0.95,
    )
    assert (fitted.groups, fitted.level, fitted.training_slices) == (40, 0.95, 50)
    found = fitted.assess(logits, validation)
    own = 1 - found.probabilities[np.arange(120), labels]
    assert np.isin(fitted.nonconformity, own).all()
    assert found.outlier_scores is not None and 0.95 <= (found.outlier_scores <= 1).mean() < 1


def test_without_a_calibrator_there_are_probabilities_alone() -> None:
    found = unchecked(np.array([[1.0, 0.0], [0.0, 3.0]], dtype=np.float32))
    assert found.probabilities == pytest.approx(softmax(np.array([[1.0, 0.0], [0.0, 3.0]])))
    assert found.verdicts == ["unchecked", "unchecked"]
    assert found.sets is None
    assert found.outlier_scores is None
