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


@pytest.fixture
def mr() -> np.ndarray:
    """Stored values of an MR slice, (64, 64) uint16: a head of 1 to 1000 on a background of 0."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    tissue = 200 + 450 * (1 + np.sin(5 * x) * np.cos(4 * y))
    noise = np.random.default_rng(0).normal(0, 20, x.shape)
    return np.where(x**2 + y**2 < 0.6, np.clip(tissue + noise, 1, 1000), 0).astype(np.uint16)


@pytest.fixture
def outside() -> np.ndarray:
    """Where the field of view of `mr` ends, (64, 64) bool: the corners."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    return x**2 + y**2 > 1


@pytest.fixture
def ct() -> np.ndarray:
    """Hounsfield units of a CT slice, (64, 64) int16: air, scalp, bone and brain."""
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    radius, random = np.sqrt(x**2 + y**2), np.random.default_rng(0)
    values = random.normal(-1000, 10, x.shape)
    for limit, centre in ((0.8, -80), (0.75, 40), (0.7, 1000), (0.62, 35)):
        values = np.where(radius < limit, random.normal(centre, 6, x.shape), values)
    return np.round(values).clip(-1024).astype(np.int16)
