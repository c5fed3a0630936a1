"""Catalog in, Audit and its page out."""

from pathlib import Path

from gliascope.data.audit import Audit
from gliascope.data.audit.copies import THRESHOLD
from gliascope.data.audit.examine import Features, examine
from gliascope.data.catalog import Catalog
from gliascope.data.store import store
from gliascope.files import write_text
from gliascope.recipes import load_recipe


def audit(catalog: Catalog, threshold: float = THRESHOLD, check_labels: bool = False) -> Audit:
    """Audit a catalogue. Checking labels takes a pass of a frozen network, which needs gliascope[train]."""
    features = _features(catalog) if check_labels else None
    why = "not asked for: `gliascope audit` does it, `gliascope run` does not"
    return examine(catalog, threshold, features, "" if check_labels else why)


def write_audit(found: Audit, catalog: Catalog, folder: Path) -> None:
    """Write all that was found, and audit.html for people, into `folder`."""
    from gliascope.pages.audit import render_audit

    found.write(folder)
    write_text(folder / "audit.html", render_audit(found, catalog))


def _features(catalog: Catalog) -> Features:
    import polars as pl
    from lightning.fabric import Fabric

    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.features import features

    keep_freed_memory()
    recipe = load_recipe("quick")
    images = store(catalog.frame, recipe.preprocessing)
    device = Fabric(accelerator="auto", devices=1).device
    return features(images, images.rows(pl.Series(images.hashes)), recipe, device)
