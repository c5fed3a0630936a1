from pathlib import Path

import pytest
from tiny import TINY

from gliascope.inference.bundle import Bundle
from gliascope.models.classifier import build_classifier
from gliascope.recipes import Recipe, load_recipe
from gliascope.training.export import export

CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    return load_recipe("quick", TINY)


@pytest.fixture(scope="session")
def bundle(recipe: Recipe) -> Bundle:
    """A bundle of an untrained head: its answers mean nothing, its numbers can be checked."""
    return export(build_classifier(recipe, 4), recipe, CLASSES, {"weights": "apache-2.0"})


@pytest.fixture
def bundle_folder(bundle: Bundle, tmp_path: Path) -> Path:
    bundle.write(tmp_path / "bundle", "# card")
    return tmp_path / "bundle"
