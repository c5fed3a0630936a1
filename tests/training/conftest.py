from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny import TINY

from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.recipes import Recipe, load_recipe
from gliascope.splits.split import Split, split
from gliascope.store.store import Store, store


@dataclass(frozen=True)
class Prepared:
    recipe: Recipe
    catalog: Catalog
    split: Split
    store: Store


@pytest.fixture(autouse=True)
def _export_once(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exporting takes ten seconds and has tests of its own: every run here gets the same model."""
    monkeypatch.setattr("gliascope.training.run.export_bundle", lambda *_: bundle)


@pytest.fixture
def prepared(official_source: Path) -> Prepared:
    recipe = load_recipe("quick", TINY)
    catalog = scan([official_source])
    return Prepared(recipe, catalog, split(catalog)[0], store(catalog.frame, recipe.preprocessing))
