import json

import numpy as np
import pytest
from pydantic_core import to_jsonable_python

from gliascope.evaluation.aggregation import AGGREGATION_METHODS
from gliascope.evaluation.scores import Scores
from gliascope.evaluation.studies import evaluate_studies

CLASSES = ("glioma", "no_tumor", "pituitary")
SAYS = {"g": [0.9, 0.06, 0.04], ".": [0.04, 0.94, 0.02], "p": [0.1, 0.1, 0.8]}


def volumes(*slices: tuple[str, str]) -> tuple[Scores, list[str | None]]:
    """Volumes as truth and answers, a letter a slice: g, p or `.` for no tumour."""
    truth, said = ("".join(part) for part in zip(*slices, strict=True))
    probabilities = np.array([SAYS[letter] for letter in said])
    labels = np.array(["g.p".index(letter) for letter in truth])
    names = [f"study {number}" for number, (one, _) in enumerate(slices) for _ in one]
    return Scores(probabilities, labels, np.array(names), CLASSES), list(names)


def test_studies_are_scored_by_every_method() -> None:
    scores, names = volumes(
        ("....gg....", "....gg...."),
        ("....pp....", "....p....."),
        ("..........", ".........."),
        ("..........", "g........."),
        ("..........", ".........."),
    )
    found = evaluate_studies(scores, names, resamples=50)
    assert found is not None
    json.dumps(to_jsonable_python(found), allow_nan=False)
    assert (found.n, found.slices, found.left_out, found.median_slices) == (5, 50, 0, 10)
    assert found.classes == {"glioma": 1, "no_tumor": 3, "pituitary": 1}
    assert found.healthy_slices == 16 / 20
    assert set(found.methods) == set(AGGREGATION_METHODS)
    mean, tenth = found.methods["mean"], found.methods["top tenth"]
    assert mean.accuracy.value == pytest.approx(3 / 5)
    assert mean.tumor.sensitivity.value == 0
    assert mean.tumor.specificity.value == 1
    assert tenth.accuracy.value == pytest.approx(4 / 5)
    assert tenth.tumor.sensitivity.value == 1
    assert tenth.tumor.specificity.value == pytest.approx(2 / 3)
    assert tenth.accuracy.low < 4 / 5 < tenth.accuracy.high


def test_a_volume_labelled_as_a_whole_and_slices_of_no_known_study() -> None:
    scores, names = volumes(("gggg", "..g."), ("....", "...."), ("pp", "pp"), ("g", "."))
    names[-1] = None
    found = evaluate_studies(scores, names, resamples=50)
    assert found is not None
    assert (found.n, found.left_out, found.healthy_slices) == (3, 1, 0)
    assert found.methods["top tenth"].accuracy.value == 1


def test_without_a_study_of_several_slices_there_is_nothing_to_say() -> None:
    scores, names = volumes(("g", "g"), (".", "."))
    assert evaluate_studies(scores, names) is None
    assert evaluate_studies(scores, [None, None]) is None


def test_kinds_alone_have_no_sensitivity() -> None:
    scores, names = volumes(("gg", "gg"), ("pp", "pg"))
    kinds = Scores(scores.probabilities[:, [0, 2]] / scores.probabilities[:, [0, 2]].sum(1, keepdims=True),
                   scores.labels // 2, scores.groups, ("glioma", "pituitary"))  # fmt: skip
    found = evaluate_studies(kinds, names, resamples=50)
    assert found is not None
    assert found.healthy_slices is None
    assert found.methods["mean"].tumor is None
