"""Gliascope: brain tumour classification on MRI and CT slices that you can believe. Research use only."""

import os

__version__ = "0.1.0"

RESEARCH_USE = "Research use only. Not a medical device; never a diagnosis."

# From 1.29 on, ONNX Runtime tells its makers of every model it loads, unless told before it is first used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
