"""Kinds of slices that are not plain acquisitions, and which slices of a study count for its finding."""

from collections.abc import Sequence

SECONDARY_CAPTURE = "secondary capture"
"""Kind of a slice that was made of a picture or a screen instead of a scan (DICOM's Secondary Capture)."""

EXCLUDED_CAPTURE = ("secondary capture beside acquired slices", "its study has slices as they were acquired")
"""Reason and detail of a secondary capture that is excluded."""


def counted_slices(kinds: Sequence[str | None]) -> list[bool]:
    """Tell for each slice of a study whether it counts for the study's finding.

    Only acquired slices count. In a study converted from pictures, which has none, secondary captures do.

    Parameters
    ----------
    kinds
        `Slice.kind` of each slice; None for an acquired one.

    Examples
    --------
    >>> counted_slices([None, None, "localizer", "secondary capture"])
    [True, True, False, False]
    >>> counted_slices(["localizer", "secondary capture"])
    [False, True]
    """
    counted = None if None in kinds else SECONDARY_CAPTURE
    return [kind == counted for kind in kinds]
