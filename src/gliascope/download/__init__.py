"""Public data sets: a catalogue of them, and their download."""

from gliascope.download.fetch import fetch, origin
from gliascope.download.public import PublicSet, find, public_sets

__all__ = ["PublicSet", "fetch", "find", "origin", "public_sets"]
