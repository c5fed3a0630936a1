"""Gliascope: brain tumour classification on MRI and CT slices that you can believe. Research use only.

The names in `__all__` are loaded when they are first used, so that the import itself takes no time.

Examples
--------
>>> import gliascope
>>> model = gliascope.load("results")
>>> model.predict("scan.png")
<Finding accepted: glioma 98.9 %; scan.png>
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gliascope.errors import GliascopeError
    from gliascope.inference.finding import Finding, StudyFinding
    from gliascope.inference.load import load
    from gliascope.inference.model import Model, ModelCard
    from gliascope.io.paths import read
    from gliascope.io.slices import Slice
else:  # so that type checkers know a misspelt name
    _MODULES = {
        "Finding": "gliascope.inference.finding",
        "GliascopeError": "gliascope.errors",
        "Model": "gliascope.inference.model",
        "ModelCard": "gliascope.inference.model",
        "Slice": "gliascope.io.slices",
        "StudyFinding": "gliascope.inference.finding",
        "load": "gliascope.inference.load",
        "read": "gliascope.io.paths",
    }

    def __getattr__(name):
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value


__all__ = [
    "RESEARCH_USE",
    "Finding",
    "GliascopeError",
    "Model",
    "ModelCard",
    "Slice",
    "StudyFinding",
    "__version__",
    "load",
    "read",
]

__version__ = "0.1.0"

RESEARCH_USE = "Research use only. Not a medical device; never a diagnosis."

# From 1.29 on, ONNX Runtime tells its makers of every model it loads, unless told before it is first used.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
