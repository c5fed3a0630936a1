"""Findings: a model's prediction for one slice, or for a study, with its verdict."""

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
    """A model's prediction for one slice, or for a whole study.

    Attributes
    ----------
    file : Path
        The file of the slice, or of the study's first slice.
    slice : int or None
        Index of the slice within its file; None for a study, see `evaluation.aggregation.aggregate`.
    study : str or None
        The study's identifier, where the file has one.
    label : str
        The class with the highest probability.
    probabilities : dict of str to float
        By class; calibrated where the bundle has a Calibrator.
    prediction_set : tuple of str, or None
        Classes that hold the truth with the probability that is the bundle's level. None for a study, and
        without a Calibrator.
    outlier_score : float or None
        Distance from the training slices; past 1, the slice is out of scope. A study's is the (lower) median
        of its slices'. None without a Calibrator.
    verdict : str
        `out of scope` where the outlier score is past 1; else `uncertain` where the prediction set does not
        hold exactly one class; else `accepted`. `unchecked` without a Calibrator. A study is `out of scope`
        or `unchecked`, since nothing was calibrated on studies.
    notes : tuple of str
        Remarks on how the slice was read, a sentence each.
    map : float32 (h, w), or None
        Class activation map of `label`, where the model has one.
    kind : str or None
        What the slice is if it is no ordinary one, as in `Slice.kind`; it then does not count in its study.
    input_pixels : uint8 (height, width) or (height, width, 3), or None
        The part of the slice that the network was given, which `map` covers. Set only by a `Model`.

    Examples
    --------
    >>> from pathlib import Path
    >>> probabilities = {"glioma": 0.98, "no_tumor": 0.02}
    >>> Finding(Path("scan.png"), 0, None, "glioma", probabilities, ("glioma",), 0.4, "accepted")
    <Finding accepted: glioma 98.0 %; scan.png>
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
        """HTML for a notebook: the verdict, the picture and the probabilities."""
        from gliascope.inference.notebook import finding_html

        return finding_html(self)

    def to_json(self) -> str:
        """Write the finding as one line of JSON, without its map and pixels."""
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
    """A model's prediction for a study, with the findings of its slices.

    Attributes
    ----------
    slices : tuple of Finding
        One for every slice that was read, in order, including those that do not count in the study's finding.
    excluded : tuple of ReadError
        Files of the study's folder that could not be used, each with the reason.
    """

    slices: tuple[Finding, ...] = ()
    excluded: tuple[ReadError, ...] = ()

    def __repr__(self) -> str:
        """One line, the verdict first."""
        from gliascope.inference.notebook import study_text

        return study_text(self)

    def _repr_html_(self) -> str:
        """HTML for a notebook: verdict, probabilities, and the slices that look most like a tumour."""
        from gliascope.inference.notebook import study_html

        return study_html(self)


def pack_findings(findings: Sequence[Finding], unreadable: Sequence[ReadError]) -> bytes:
    """Serialise findings exactly, without their maps and pixels, and the errors of unreadable files."""
    rows = [{name: getattr(one, name) for name in _PACKED} | {"file": str(one.file)} for one in findings]
    return json.dumps([rows, [(str(one.path), one.reason, one.detail) for one in unreadable]]).encode()


def unpack_findings(content: bytes) -> tuple[list[Finding], list[ReadError]]:
    """Read what `pack_findings` wrote."""
    rows, errors = json.loads(content)
    findings = []
    for row in rows:
        classes = row["prediction_set"]
        row["file"] = to_path(row["file"])
        row["prediction_set"] = None if classes is None else tuple(classes)
        findings.append(Finding(**row | {"notes": tuple(row["notes"])}))
    return findings, [ReadError(to_path(path), reason, detail) for path, reason, detail in errors]


def make_finding(
    classes: tuple[str, ...],
    assessment: Assessment,
    row: int,
    *,
    file: Path,
    index: int | None,
    study: str | None,
    notes: tuple[str, ...] = (),
    maps: NDArray[np.float32] | None = None,
) -> Finding:
    """Make the Finding of one slice, or of a study, from an Assessment.

    Parameters
    ----------
    classes
        Names of the classes.
    assessment
        Of n slices.
    row
        Which of the n slices.
    file, index, study, notes
        As in the Finding; `index` is None for a study.
    maps
        float32 (n, classes, height, width): class activation maps, where the model has them.
    """
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
