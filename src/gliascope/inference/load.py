"""`gliascope.load`: from a folder to a Model."""

import os
from pathlib import Path

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle, read_card
from gliascope.inference.model import Model


def load(path: str | os.PathLike[str], *, level: float | None = None) -> Model:
    """Load a Bundle: the model that `gliascope run` leaves in its results, ready to predict.

    Parameters
    ----------
    path : path
        A bundle's folder or .zip; or a folder of results, or of a run, that holds one.
    level : float, optional
        The share of patients whose prediction sets hold the truth, if not the bundle's own.

    Raises
    ------
    BundleError
        Where there is no bundle, or one that is damaged, or there are several.
    GliascopeError
        For a level that the bundle's calibration cannot promise.

    Examples
    --------
    >>> import gliascope
    >>> gliascope.load("results").classes
    ('glioma', 'meningioma', 'no_tumor', 'pituitary')
    """
    where = find_bundle(Path(path))
    return Model(open_bundle(where, level), read_card(where))


def open_bundle(path: Path, level: float | None = None) -> Bundle:
    """The Bundle of `load`, without loading its graph; the command line gives it to those who predict."""
    bundle = Bundle.load(find_bundle(path))
    return bundle if level is None else bundle.with_level(level)


def find_bundle(path: Path) -> Path:
    """The bundle that `path` is or, of a folder of results or of a run, holds.

    `bundle` is what `run` deploys; without it, the one that lies at most two folders below. A path that holds
    none is returned as it is. Raises BundleError where there are several.
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
