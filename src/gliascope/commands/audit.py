"""Audit a catalogue, and write the audit with its page."""

from pathlib import Path

from gliascope.audit import Audit
from gliascope.audit.copies import THRESHOLD
from gliascope.audit.run_audit import Embeddings, run_audit
from gliascope.dataset.catalog import Catalog
from gliascope.recipes import load_recipe
from gliascope.runtime.files import write_text
from gliascope.store.store import store


def audit(catalog: Catalog, threshold: float = THRESHOLD, check_labels: bool = False) -> Audit:
    """Audit a catalogue.

    Parameters
    ----------
    catalog
        The slices to audit.
    threshold
        Correlation of two thumbnails from which slices are near copies.
    check_labels
        Whether to look for wrong labels with a frozen network, which needs gliascope[train].

    Returns
    -------
    Audit
        Copies, leaks, label issues, shortcuts and quality issues, with a verdict.
    """
    embeddings = _embed(catalog) if check_labels else None
    reason = "not asked for: `gliascope audit` checks labels, `gliascope run` does not"
    return run_audit(catalog, threshold, embeddings, "" if check_labels else reason)


def write_audit(result: Audit, catalog: Catalog, folder: Path) -> None:
    """Write an audit and its page, audit.html, into a folder.

    Parameters
    ----------
    result
        The audit.
    catalog
        The catalogue that was audited; its files are read for the pictures of the page.
    folder
        Where to write; made if it does not exist.
    """
    from gliascope.reports.pages.audit import render_audit

    result.write(folder)
    write_text(folder / "audit.html", render_audit(result, catalog))


def _embed(catalog: Catalog) -> Embeddings:
    """Compute the backbone features of each distinct slice, float32 (distinct slices, d)."""
    import polars as pl
    from lightning.fabric import Fabric

    from gliascope.training.environment import keep_freed_memory
    from gliascope.training.features import backbone_features

    keep_freed_memory()
    recipe = load_recipe("quick")
    images = store(catalog.frame, recipe.preprocessing)
    device = Fabric(accelerator="auto", devices=1).device
    return backbone_features(images, images.rows(pl.Series(images.hashes)), recipe, device)
