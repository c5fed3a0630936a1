from pathlib import Path

import pytest
from making import Make
from quadrants import quadrant_bundle

from gliascope import Model
from gliascope.inference.bundle import Bundle


@pytest.fixture
def bundle_folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.write(tmp_path / "bundle", "# card")
    return tmp_path / "bundle"


@pytest.fixture(scope="session")
def model() -> Model:
    """A model that says which quarter of a picture is the brightest."""
    return Model(quadrant_bundle(slope=0.05))


@pytest.fixture
def make(tmp_path: Path) -> Make:
    (tmp_path / "made").mkdir()
    return Make(tmp_path / "made")
