import numpy as np
import polars as pl
import pytest

from gliascope.dataset.studies import study_keys
from gliascope.evaluation.aggregation import AGGREGATION_METHODS, DEFAULT_AGGREGATION, aggregate

CLASSES = ("glioma", "no_tumor", "pituitary")
HEALTHY, GLIOMA, PITUITARY = [0.04, 0.94, 0.02], [0.9, 0.06, 0.04], [0.1, 0.2, 0.7]


@pytest.mark.parametrize("method", AGGREGATION_METHODS)
@pytest.mark.parametrize("classes", [CLASSES, ("a", "b", "c")])
def test_every_method_gives_probabilities_and_leaves_one_slice_as_it_is(
    method: str, classes: tuple[str, ...]
) -> None:
    rng = np.random.default_rng(0)
    for slices in (1, 2, 7, 40):
        told = aggregate(rng.dirichlet(np.ones(3), slices), classes, method)
        assert told.shape == (3,)
        assert told.min() >= 0
        assert told.sum() == pytest.approx(1)
    if classes == CLASSES:
        assert aggregate(np.array([GLIOMA]), classes, method) == pytest.approx(GLIOMA)
    for sure in np.eye(3):
        assert aggregate(np.tile(sure, (9, 1)), classes, method) == pytest.approx(sure)


def test_a_tumour_in_a_few_slices_of_many() -> None:
    volume = np.array([HEALTHY] * 27 + [GLIOMA] * 3)
    assert aggregate(volume, CLASSES, "mean").argmax() == 1  # outvoted
    assert aggregate(volume, CLASSES, "top-3") == pytest.approx(GLIOMA)
    assert aggregate(volume, CLASSES) == pytest.approx(GLIOMA)
    assert aggregate(volume, CLASSES, "top-1").argmax() == 0
    assert aggregate(volume, CLASSES, "noisy-or").argmax() == 0


def test_noisy_or_takes_each_slice_for_a_witness() -> None:
    told = aggregate(np.array([HEALTHY, PITUITARY]), CLASSES, "noisy-or")
    assert told[1] == pytest.approx(0.94 * 0.2)
    glioma, pituitary = 1 - 0.96 * 0.9, 1 - 0.98 * 0.3
    assert told[0] / told[2] == pytest.approx(glioma / pituitary)
    # So thirty small doubts make a tumour.
    assert aggregate(np.array([HEALTHY] * 30), CLASSES, "noisy-or")[1] < 0.2


def test_the_tenth_is_of_the_slices_and_one_at_least() -> None:
    assert DEFAULT_AGGREGATION == "top tenth"
    assert aggregate(np.array([HEALTHY] * 11 + [GLIOMA, PITUITARY]), CLASSES) == pytest.approx(GLIOMA)
    two = aggregate(np.array([HEALTHY] * 18 + [GLIOMA, PITUITARY]), CLASSES)
    assert two == pytest.approx(np.mean([GLIOMA, PITUITARY], axis=0))


def test_a_study_is_what_the_file_says_else_the_volume_else_the_patient_else_the_users_group() -> None:
    frame = pl.DataFrame(
        {
            "root": ["/r"] * 7,
            "path": ["s/a.dcm", "s/b.dcm", "s/v.nii", "s/v.nii", "s/c.mat", "s/d.jpg", "s/e.jpg"],
            "study": ["1", "1", None, None, None, None, None],
            "patient": ["p", "p", None, None, "q", None, None],
            "group": ["g"] * 6 + [None],
        }
    )
    assert study_keys(frame).to_list() == [
        "study:1", "study:1", "file:s/v.nii", "file:s/v.nii", "patient:q", "group:g", None,
    ]  # fmt: skip
