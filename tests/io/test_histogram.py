from pathlib import Path

import numpy as np
import pytest

from gliascope.io import intensity
from gliascope.io.histogram import Histogram


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int16, np.float32, np.int64])
@pytest.mark.parametrize("count", [1, 2, 3, 100, 201, 5000])
def test_counts_give_the_percentiles_of_the_values(kind: type, count: int) -> None:
    values = np.random.default_rng(count).normal(90, 25, count).astype(kind)
    low, high = intensity.percentile_range(Path("x"), [values])
    expected = np.percentile(values.astype(np.float64), intensity.PERCENTILES)
    if expected[0] < expected[1]:
        assert (low, high) == pytest.approx(tuple(expected))
    parts = [Histogram.from_values(part) for part in np.array_split(values, min(count, 7))]
    found = Histogram.merge(parts[::-1]).percentile_range()
    assert found is not None
    assert found.numbers[:2] == (low, high)
    assert intensity.percentile_range(
        Path("x"), [values], lambda one: one * -0.5 + 3
    ) == intensity.percentile_range(Path("x"), [values * -0.5 + 3])
