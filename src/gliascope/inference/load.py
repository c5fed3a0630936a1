"""`gliascope.load`: find a bundle in a folder, and load it as a Model."""

import os
from pathlib import Path

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle, read_card
from gliascope.inference.model import Model


def load(path: str | os.PathLike[str], *, level: float | None = None) -> Model:
    """Load a bundle, such as `gliascope run` writes into its results, as a Model that is ready to predict.

    Parameters
    ----------
    path : path
        A bundle's folder or .zip, or a folder of results or of a run that holds one bundle.
    level : float, optional
        The share of patients whose prediction sets hold the true class; by default the bundle's own level.

    Raises
    ------
    BundleError
        Where there is no bundle, it is damaged, or there are several.
    GliascopeError
        For a level that the bundle was calibrated on too few groups for.

    Examples
    --------
    >>> import gliascope
    >>> gliascope.load("results").classes
    ('glioma', 'meningioma', 'no_tumor', 'pituitary')
    """
    folder = find_bundle(Path(path))
    return Model(open_bundle(folder, level), read_card(folder))


def open_bundle(path: Path, level: float | None = None) -> Bundle:
    """Find and read a Bundle as `load` does, without loading its graph into ONNX Runtime."""
    bundle = Bundle.load(find_bundle(path))
    return bundle if level is None else bundle.with_level(level)


def find_bundle(path: Path) -> Path:
    """Find the bundle that a path names, or that a folder of results or of a run holds.

    In a folder, the bundle is its subfolder `bundle`, as `gliascope run` writes it, or else the only one at
    most two folders below. A path without a bundle is returned unchanged. Raises BundleError for several
    bundles.
    """
    name = "bundle.json"
    if not path.is_dir() or (path / name).exists():
        return path
    if (path / "bundle" / name).exists():
        return path / "bundle"
    found = sorted(one.parent for pattern in (f"*/{name}", f"*/*/{name}") for one in path.glob(pattern))
    if len(found) > 1:
        raise BundleError(f"{path}: holds {len(found)} bundles, such as {found[0]} and {found[1]}; name one")
    return found[0] if found else path
