"""Public data sets: a catalogue of them, and their download."""

from gliascope.data.sources.fetch import fetch
from gliascope.data.sources.public import PublicSet, find, public_sets

__all__ = ["PublicSet", "fetch", "find", "public_sets"]
