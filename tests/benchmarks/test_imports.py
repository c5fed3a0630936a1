"""Benchmarks import, so that a name that is gone is found before a measurement."""

from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "benchmarks"
MODULES = sorted(file.stem for file in ROOT.glob("*.py") if not file.stem.startswith("__"))


@pytest.mark.parametrize("name", MODULES)
def test_a_benchmark_imports(name: str) -> None:
    import_module(f"benchmarks.{name}")
