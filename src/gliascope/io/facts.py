"""Facts that several formats state in their own ways."""

import hashlib
import math
from collections.abc import Sequence

import numpy as np

PLANES = ("sagittal", "coronal", "axial")
"""By the axis that the slice lies across: to the patient's left or right, to front or back, up or down."""


def pseudonym(identifier: str) -> str | None:
    """16 hex digits of the BLAKE2b of an identifier; None if it is blank.

    The same identifier gives the same digits in every file and on every machine, so that slices of one
    patient stay together. This is a pseudonym, not anonymisation: whoever can list the possible
    identifiers can find the one behind it.
    """
    identifier = identifier.strip().strip("\0")
    return digest(identifier) if identifier else None


def digest(*facts: str) -> str:
    """16 hex digits that are the same where all facts are."""
    return hashlib.blake2b("\0".join(facts).encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def plane_of(orientation: Sequence[float]) -> str | None:
    """The plane nearest to a slice whose rows and columns run so (ImageOrientationPatient, C.7.6.2.1.1).

    None unless these are two directions in six finite numbers.
    """
    if len(orientation) != 6 or not all(map(math.isfinite, orientation)):
        return None
    across = np.abs(np.cross(orientation[:3], orientation[3:]))
    return PLANES[int(across.argmax())] if across.max() > 0 else None


def spacing_in_mm(spacing: Sequence[float]) -> tuple[float, float] | None:
    """(row, column) spacing in mm, or None unless it is two positive finite numbers."""
    if len(spacing) != 2 or not all(math.isfinite(value) and value > 0 for value in spacing):
        return None
    return float(spacing[0]), float(spacing[1])
