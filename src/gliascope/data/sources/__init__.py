"""Public data sets: a catalogue of them, and their download."""

from gliascope.data.sources.fetch import fetch, origin
from gliascope.data.sources.public import PublicSet, find, public_sets

__all__ = ["PublicSet", "fetch", "find", "origin", "public_sets"]
