"""What a model says of one slice, or of a study."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.data.folders import printable
from gliascope.inference.bundle import BundleInfo


@dataclass(frozen=True, slots=True, eq=False)
class Finding:
    """One answer. `slice` is None where it is of a whole study, whose probabilities are its slices' mean.

    verdict: `accepted`, or `uncertain` where the likeliest class is less probable than the bundle's
    threshold, or `unchecked` where the bundle has none.
    """

    file: Path
    slice: int | None
    study: str | None
    label: str
    probabilities: dict[str, float]
    verdict: str
    map: NDArray[np.float32] | None = None  # class activation map of `label`, (height, width)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "file": printable(str(self.file)),
                "slice": self.slice,
                "study": self.study,
                "label": self.label,
                "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
                "verdict": self.verdict,
            }
        )


def make_finding(
    info: BundleInfo,
    probabilities: NDArray[np.float64],
    file: Path,
    index: int | None,
    study: str | None,
    maps: NDArray[np.float32] | None = None,
) -> Finding:
    """Name the likeliest class and judge it. probabilities: (classes,); maps: (classes, height, width)."""
    best = int(probabilities.argmax())
    if info.confidence_threshold is None:
        verdict = "unchecked"
    else:
        verdict = "accepted" if probabilities[best] >= info.confidence_threshold else "uncertain"
    named = dict(zip(info.classes, probabilities.tolist(), strict=True))
    map_ = None if maps is None else maps[best]
    return Finding(file, index, study, info.classes[best], named, verdict, map_)
