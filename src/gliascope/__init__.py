"""Gliascope: brain tumour classification on MRI and CT slices that you can believe. Research use only."""

__version__ = "0.1.0"

RESEARCH_USE = "Research use only. Not a medical device; never a diagnosis."
