from dataclasses import dataclass
from pathlib import Path

import pytest

from gliascope.data.catalog import Catalog
from gliascope.data.scan import scan
from gliascope.data.split import Split, split
from gliascope.data.store import Store, store
from gliascope.recipes import Recipe, load_recipe
from tiny import TINY


@dataclass(frozen=True)
class Prepared:
    recipe: Recipe
    catalog: Catalog
    split: Split
    store: Store


@pytest.fixture
def prepared(official_source: Path) -> Prepared:
    recipe = load_recipe("quick", TINY)
    catalog = scan([official_source])
    return Prepared(recipe, catalog, split(catalog, "official"), store(catalog.frame, recipe.preprocessing))
