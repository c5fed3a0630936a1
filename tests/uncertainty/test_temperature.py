import numpy as np
import pytest

from gliascope.uncertainty.temperature import (
    TEMPERATURES,
    calibrated_probabilities,
    fit_temperature,
    softmax,
)


def simulated(n: int, seed: int, temperature: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are `temperature` times as sure as they should be, and labels."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (n, 3))
    labels = (logits + random.gumbel(size=(n, 3))).argmax(axis=1)
    return (logits * temperature).astype(np.float32), labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0])
def test_the_temperature_that_was_put_in_is_found(temperature: float) -> None:
    logits, labels = simulated(20_000, 0, temperature)
    assert fit_temperature(logits, labels, 20_000) == pytest.approx(temperature, rel=0.05)


def test_a_model_without_mistakes_is_as_sure_as_the_rule_of_succession() -> None:
    for groups in (20, 500):
        labels = np.arange(200) % 3
        logits = (7 * np.eye(3)[labels]).astype(np.float32)
        sure = softmax(logits / fit_temperature(logits, labels, groups)).max(axis=1)
        assert sure == pytest.approx(1 - 1 / (groups + 2), abs=1e-3)


def test_logits_that_say_nothing_stay_within_bounds() -> None:
    temperature = fit_temperature(np.zeros((9, 3), dtype=np.float32), np.arange(9) % 3, 9)
    assert TEMPERATURES[0] <= temperature <= TEMPERATURES[1]


def test_probabilities_are_softmax_at_the_temperature() -> None:
    logits = np.array([[2.0, 0.0, -2.0]], dtype=np.float32)
    exponent = np.exp([1.0, 0.0, -1.0])
    assert calibrated_probabilities(logits, 2.0) == pytest.approx((exponent / exponent.sum())[np.newaxis])
    assert softmax(np.array([[1e4, 0.0]])) == pytest.approx(np.array([[1.0, 0.0]]))
