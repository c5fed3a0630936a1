"""The same pictures through every door, and what a finding says of them."""

from typing import Any

import numpy as np
import volumes
from tiny import slice_image

from gliascope import Finding


def said(finding: Finding) -> tuple[Any, ...]:
    """All but where it is from."""
    map_ = None if finding.map is None else finding.map.round(3).tolist()
    probabilities = {name: round(value, 5) for name, value in finding.probabilities.items()}
    score = round(finding.outlier_score or 0, 5)
    return finding.label, finding.verdict, probabilities, score, finding.kind, map_


HEAD = np.asarray(slice_image(1, 3))
DEEP = volumes.head()[7]
COLOUR = np.stack([HEAD, HEAD // 2, 255 - HEAD], axis=-1)
SIGNED = DEEP.astype(np.int32) - 300
