import numpy as np
import pytest

from gliascope.errors import GliascopeError
from gliascope.inference.judge import (
    ARRAYS,
    SPACES,
    Judge,
    JudgeInfo,
    calibrated,
    fit_units,
    softmax,
    together,
    unchecked,
)

UNITS = {name: {"noise": 1.0, "unit": unit} for name, unit in zip(SPACES, (2.0, 1.0, 4.0), strict=True)}
INFO = {"temperature": 2.0, "method": "lac", "level": 0.9, "spaces": UNITS, "references": 10}


def make_judge(**changes) -> Judge:
    """Nineteen groups whose scores are 0.05, 0.10 …; three spaces of two axes, the first the component."""
    arrays = {method: np.arange(1, 20) / 20 for method in ("lac", "aps", "raps")}
    for space in UNITS:
        arrays[f"{space}.mean"] = np.zeros(2, dtype=np.float32)
        arrays[f"{space}.components"] = np.array([[1.0, 0.0]], dtype=np.float32)
        arrays[f"{space}.variances"] = np.array([4.0], dtype=np.float32)
    return Judge(JudgeInfo(**(INFO | changes)), arrays)


def looks(*points: list[list[float]]) -> dict[str, np.ndarray]:
    return {name: np.array(one, dtype=np.float32) for name, one in zip(SPACES, points, strict=True)}


def test_probabilities_are_softmax_at_the_temperature() -> None:
    logits = np.array([[2.0, 0.0, -2.0]], dtype=np.float32)
    said = make_judge()(logits, looks(*[[[0, 0]]] * 3))
    assert said.probabilities == pytest.approx(softmax(logits / 2))
    assert softmax(np.array([[1e4, 0.0]])) == pytest.approx(np.array([[1.0, 0.0]]))


def test_distance_weighs_each_direction_by_what_it_varies_and_each_space_by_its_unit() -> None:
    features = [[4.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.0, 0.0]]  # 2, 4, 0 and 0 of a unit of 2
    greys = [[0.0, 0.0], [0.0, 1.0], [0.0, 3.0], [4.0, 0.0]]  # 0, 1, 3 and 2 of a unit of 1
    layout = [[0.0, 0.0], [0.0, 8.0], [0.0, 0.0], [16.0, 0.0]]  # 0, 8, 0 and 8 of a unit of 4
    expected = np.sqrt(np.array([1, 4 + 1 + 4, 9, 4 + 4]) / 3)
    assert make_judge().outlier_scores(looks(features, greys, layout)) == pytest.approx(expected)


def test_units_accept_their_share_and_no_space_counts_more_than_another() -> None:
    random = np.random.default_rng(0)
    apart = [random.exponential(size=4000), 100 * random.normal(5, 1, 4000)]
    units = fit_units(apart)
    assert (together(apart, units) <= 1).mean() == pytest.approx(0.95, abs=0.001)
    own = [np.quantile(one, 0.95) for one in apart]
    assert units[0] / own[0] == pytest.approx(units[1] / own[1], rel=0.01)
    assert fit_units([np.array([3.0])]) == pytest.approx([3.0])
    assert all(unit > 0 for unit in fit_units([np.zeros(5), np.zeros(5)]))


def test_the_slice_that_sets_the_scale_is_within_it_to_the_last_bit() -> None:
    for seed in range(300):
        random = np.random.default_rng(seed)
        size = int(random.integers(5, 400))
        apart = [random.exponential(size=size) * 10 ** random.uniform(-3, 3) for _ in range(3)]
        assert (together(apart, fit_units(apart)) <= 1).mean() >= 0.95


def test_calibration_slices_are_in_their_own_sets_to_the_last_bit() -> None:
    """Fitted and applied by the same arithmetic, through float32 logits and a file."""
    for seed in range(100):
        random = np.random.default_rng(seed)
        logits = (3 * random.normal(size=(60, 4))).astype(np.float32)
        labels = random.integers(0, 4, 60)
        temperature = float(random.uniform(0.3, 2))
        scores = np.sort(1 - calibrated(logits, temperature)[np.arange(60), labels])
        judge = make_judge(temperature=temperature)
        judge = Judge(judge.info, {**judge.arrays, "lac": scores})
        again = Judge.from_bytes(
            JudgeInfo.model_validate_json(judge.info.model_dump_json()), judge.to_bytes()
        )
        sets = again.sets(again.calibrated(logits))
        assert sets[np.arange(60), labels].sum() == np.ceil(61 * 0.9)


def test_classes_behind_a_sum_that_rounding_made_whole_are_tied_with_it() -> None:
    """A model sure of the wrong class: the scores are 1, and so is the sum before the truth."""
    judge = make_judge(method="aps")
    judge = Judge(judge.info, {**judge.arrays, "aps": np.ones(19)})
    assert judge.sets(np.array([[1.0, 1e-20, 1e-30]])).all()


def test_verdicts() -> None:
    """Out of scope comes first; what is in scope is accepted if its set is of one class."""
    judge = make_judge()
    assert judge.quantile() == pytest.approx(0.9)  # the 18th of 19: 0.9 × 20
    sure, torn, lost = [0.95, 0.03, 0.02], [0.5, 0.48, 0.02], [0.08, 0.08, 0.84]
    said = judge.weigh(np.array([sure, torn, lost, sure]), np.array([0.5, 1.0, 0.5, 1.01]))
    assert said.verdicts == ["accepted", "uncertain", "accepted", "out of scope"]
    assert said.sets.sum(axis=1).tolist() == [1, 2, 1, 1]


def test_sets_by_lac_may_be_empty_and_are_uncertain_then() -> None:
    said = make_judge(level=0.5).weigh(np.array([[0.45, 0.3, 0.25]]), np.zeros(1))
    assert said.sets.sum() == 0
    assert said.verdicts == ["uncertain"]


@pytest.mark.parametrize(("method", "sizes"), [("aps", [1, 2, 3]), ("raps", [1, 2, 2])])
def test_sets_by_aps_and_raps_hold_the_likeliest_class_and_more_until_the_quantile(
    method: str, sizes: list[int]
) -> None:
    probabilities = np.array([[0.03, 0.95, 0.02], [0.2, 0.75, 0.05], [0.3, 0.2, 0.5]])
    judge = make_judge(method=method, penalty=0.2, free=1.0)
    sets = judge.sets(probabilities)
    assert sets.sum(axis=1).tolist() == sizes
    assert sets[np.arange(3), probabilities.argmax(axis=1)].all()


def test_another_level_is_another_quantile_and_too_high_a_one_an_error() -> None:
    judge = make_judge()
    assert judge.at(0.95).quantile() == pytest.approx(0.95)
    assert judge.at(0.5).quantile() == pytest.approx(0.5)
    for level in (0.96, 0.99, 0.0, 1.0, 7.0):
        with pytest.raises(GliascopeError, match=r"the 19 groups .*at most 0\.95"):
            judge.at(level)
    assert judge.by("lac", 0.99).sets(np.array([[1.0, 0.0, 0.0]])).all()


def test_it_is_the_same_after_writing_and_reading() -> None:
    judge = make_judge(method="raps", penalty=0.1, free=2.0)
    content = judge.to_bytes()
    again = Judge.from_bytes(judge.info, content)
    assert again.to_bytes() == content
    assert all(np.array_equal(again.arrays[name], judge.arrays[name]) for name in ARRAYS)


def test_without_a_judge_there_are_probabilities_alone() -> None:
    said = unchecked(np.array([[1.0, 0.0], [0.0, 3.0]], dtype=np.float32))
    assert said.verdicts == ["unchecked", "unchecked"]
    assert said.sets is None
    assert said.outlier_scores is None
