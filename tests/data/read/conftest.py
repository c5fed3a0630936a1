"""Builders of small files of every format, so that no test needs data from outside."""

from pathlib import Path

import numpy as np
import pytest
from making import Make


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return Make(tmp_path)


@pytest.fixture
def ramp() -> np.ndarray:
    """Grey uint8 (6, 8), all values different, no symmetry."""
    return (np.arange(48, dtype=np.uint8) * 5).reshape(6, 8)


@pytest.fixture
def deep() -> np.ndarray:
    """Stored values of 12 bits, (16, 24) uint16, all different."""
    return (np.arange(384, dtype=np.uint16) * 10).reshape(16, 24)
