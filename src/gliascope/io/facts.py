"""Facts that several file formats state: identifiers, the plane of a slice and its pixel spacing."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

PLANES = ("sagittal", "coronal", "axial")
"""Names of the planes that lie across the left-right, front-back and head-foot axis, in this order."""


def pseudonym(identifier: str) -> str | None:
    """Return 16 hex digits of the BLAKE2b hash of an identifier; None if the identifier is blank.

    The same identifier gives the same digits in every file and on every machine, so that slices of one
    patient stay together. This is a pseudonym, not anonymisation: anyone who can list the possible
    identifiers can find the one behind it.

    Examples
    --------
    >>> pseudonym("PAT-0001")
    '4e53b46509b3e046'
    >>> pseudonym("PAT-0001 ") == pseudonym("PAT-0001")
    True
    >>> pseudonym("  ") is None
    True
    """
    identifier = identifier.strip().strip("\0")
    return digest(identifier) if identifier else None


def digest(*facts: str) -> str:
    """Return the first 16 hex digits of the BLAKE2b hash of all `facts` together."""
    return hashlib.blake2b("\0".join(facts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def plane_of(orientation: Sequence[float]) -> str | None:
    """Return the plane nearest to a slice: sagittal, coronal or axial.

    Parameters
    ----------
    orientation
        Six numbers: the directions of the slice's rows and of its columns in patient coordinates, as DICOM's
        ImageOrientationPatient states them.

    Returns
    -------
    str or None
        One of `PLANES`; None unless `orientation` is six finite numbers that give two different directions.

    References
    ----------
    DICOM PS3.3, C.7.6.2.1.1.

    Examples
    --------
    >>> plane_of([1, 0, 0, 0, 1, 0])
    'axial'
    >>> plane_of([0, 1, 0, 0, 0, -1])
    'sagittal'
    """
    if len(orientation) != 6 or not all(map(math.isfinite, orientation)):
        return None
    normal = np.abs(np.cross(orientation[:3], orientation[3:]))
    return PLANES[int(normal.argmax())] if normal.max() > 0 else None


def spacing_in_mm(spacing: Sequence[float]) -> tuple[float, float] | None:
    """Return the spacing (row, column) in mm; None unless it is two positive finite numbers."""
    if len(spacing) != 2 or not all(math.isfinite(value) and value > 0 for value in spacing):
        return None
    return float(spacing[0]), float(spacing[1])
