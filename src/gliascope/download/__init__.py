"""Public data sets: a list of them, and their download."""

from gliascope.download.fetch import fetch, read_origin
from gliascope.download.public import PublicSet, find_public_set, public_sets

__all__ = ["PublicSet", "fetch", "find_public_set", "public_sets", "read_origin"]
