"""Kinds of slices that are not plain acquisitions, and which slices of a study its finding is made of."""

from collections.abc import Sequence

SECONDARY_CAPTURE = "secondary capture"


EXCLUDED_CAPTURE = ("secondary capture beside acquired slices", "its study has slices as they were acquired")
"""Reason and detail of a file that is set aside for that."""


def counted_slices(kinds: Sequence[str | None]) -> list[bool]:
    """Which slices of a study, by their `Slice.kind`, its finding is made of: the ordinary ones.

    Of a study converted from pictures, in which all are secondary captures, those.
    """
    said = None if None in kinds else SECONDARY_CAPTURE
    return [kind == said for kind in kinds]
