from itertools import pairwise

import pytest

from gliascope.training.schedules import warmup_cosine


def test_rises_linearly_then_falls_as_a_half_cosine() -> None:
    factors = [warmup_cosine(step, 100, 0.2) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 20)
    assert factors[19] == 1
    assert factors[60] == pytest.approx(0.5)
    assert factors[99] < 0.001
    assert all(a > b for a, b in pairwise(factors[20:]))


def test_without_warmup_it_starts_at_the_peak() -> None:
    assert warmup_cosine(0, 10, 0.0) == 1
    assert warmup_cosine(0, 1, 0.0) == 1
