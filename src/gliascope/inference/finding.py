"""What a model says of one slice, or of a study."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


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
                "file": str(self.file),
                "slice": self.slice,
                "study": self.study,
                "label": self.label,
                "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
                "verdict": self.verdict,
            }
        )


def make_finding(
    file: Path,
    index: int | None,
    study: str | None,
    probabilities: NDArray[np.float64],
    classes: tuple[str, ...],
    threshold: float | None,
    maps: NDArray[np.float32] | None = None,
) -> Finding:
    """Name the likeliest class and judge it. probabilities: (classes,); maps: (classes, height, width)."""
    best = int(probabilities.argmax())
    if threshold is None:
        verdict = "unchecked"
    else:
        verdict = "accepted" if probabilities[best] >= threshold else "uncertain"
    named = dict(zip(classes, probabilities.tolist(), strict=True))
    return Finding(file, index, study, classes[best], named, verdict, None if maps is None else maps[best])
