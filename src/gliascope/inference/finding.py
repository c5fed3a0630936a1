"""What a model says of one slice, or of a study."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import ReadError
from gliascope.runtime.folders import printable
from gliascope.runtime.paths import to_path
from gliascope.uncertainty.calibrator import Assessment

_PACKED = (
    "file", "slice", "study", "label", "probabilities", "prediction_set", "outlier_score", "verdict", "notes",
    "kind",
)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Finding:
    """One answer. `slice` is None where it is of a whole study; see `data.studies.aggregate`.

    kind: of the slice, as `Slice.kind`; a slice that has one has no say in its study's finding.
    probabilities: calibrated, where the bundle has a Calibrator. prediction_set: the classes that the truth
    is among, at the level of the bundle; None for a study. outlier_score: distance from what the model
    learned from, of which 1 is the farthest that is in scope; a study's is the (lower) median of its slices'.
    verdict: `accepted`; `uncertain` where the prediction set is not of one class; `out of scope` where the
    outlier score is past 1; `unchecked` where the bundle has no Calibrator, and neither set nor score. A
    study is `out of scope` or `unchecked`: nothing has been calibrated for studies.
    notes: what there is to know of how the slice was read, a sentence each.
    map: class activation map of `label`, float32 (h, w), where the model gives one and it was not left out.
    seen: what the network was given, uint8 (height, width[, 3]), all of which `map` covers; set by a `Model`,
    to show the finding by.
    """

    file: Path
    slice: int | None
    study: str | None
    label: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...] | None
    outlier_score: float | None
    verdict: str
    notes: tuple[str, ...] = ()
    map: NDArray[np.float32] | None = None
    kind: str | None = None
    input_pixels: NDArray[np.uint8] | None = None

    def __repr__(self) -> str:
        """One line, the verdict first."""
        from gliascope.inference.notebook import finding_text

        return finding_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, the picture, probabilities."""
        from gliascope.inference.notebook import finding_html

        return finding_html(self)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(
            {
                "file": printable(str(self.file)),
                "slice": self.slice,
                "study": self.study,
                "label": self.label,
                "probabilities": {name: round(value, 6) for name, value in self.probabilities.items()},
                "prediction_set": self.prediction_set,
                "outlier_score": None if self.outlier_score is None else round(self.outlier_score, 4),
                "verdict": self.verdict,
                "notes": self.notes,
                "kind": self.kind,
            }
        )


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StudyFinding(Finding):
    """One answer about a study, with those about its slices.

    slices: a Finding for every slice that was read, in order, also those without a say. excluded: files of
    the study's folder that could not be used, and why.
    """

    slices: tuple[Finding, ...] = ()
    excluded: tuple[ReadError, ...] = ()

    def __repr__(self) -> str:
        """One line, the verdict first."""
        from gliascope.inference.notebook import study_text

        return study_text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows: the verdict, probabilities, and the slices that count most."""
        from gliascope.inference.notebook import study_html

        return study_html(self)


def pack_findings(findings: Sequence[Finding], unreadable: Sequence[ReadError]) -> bytes:
    """Findings to the last bit, without their maps, and what could not be read."""
    rows = [{name: getattr(one, name) for name in _PACKED} | {"file": str(one.file)} for one in findings]
    return json.dumps([rows, [(str(one.path), one.reason, one.detail) for one in unreadable]]).encode()


def unpack_findings(content: bytes) -> tuple[list[Finding], list[ReadError]]:
    """What `pack` was given."""
    rows, rejects = json.loads(content)
    findings = []
    for row in rows:
        among = row["prediction_set"]
        row |= {"file": to_path(row["file"]), "prediction_set": None if among is None else tuple(among)}
        findings.append(Finding(**row | {"notes": tuple(row["notes"])}))
    return findings, [ReadError(to_path(path), reason, detail) for path, reason, detail in rejects]


def make_finding(
    classes: tuple[str, ...],
    assessment: Assessment,
    row: int,
    file: Path,
    index: int | None,
    study: str | None,
    notes: tuple[str, ...] = (),
    maps: NDArray[np.float32] | None = None,
) -> Finding:
    """What an Assessment says of its slice `number`; maps: (n, classes, height, width)."""
    probabilities, sets, scores = assessment.probabilities[row], assessment.sets, assessment.outlier_scores
    best = int(probabilities.argmax())
    return Finding(
        file,
        index,
        study,
        classes[best],
        dict(zip(classes, probabilities.tolist(), strict=True)),
        None if sets is None else tuple(np.array(classes)[sets[row]].tolist()),
        None if scores is None else float(scores[row]),
        assessment.verdicts[row],
        notes,
        None if maps is None else maps[row, best],
    )
