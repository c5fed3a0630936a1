"""Findings in the form of the HTTP API."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any

from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.io.kinds import counted_slices
from gliascope.preprocessing.preprocess import Preprocessing, visible_box
from gliascope.server.saliency import saliency_png
from gliascope.server.schemas import SliceFinding, StudyFinding


class StudyPseudonyms:
    """Pseudonyms of studies: hashes with a secret salt, so that nobody can look up a study by its UID.

    Parameters
    ----------
    salt
        Secret key of the hash. The same salt gives the same pseudonyms.
    """

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def pseudonym(self, study: str) -> str:
        """Hash a file's study identifier: HMAC-SHA256, cut to 128 bits, in hex."""
        return hmac.new(self._salt, study.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]


def slice_finding(
    prepared: PreparedSlice,
    finding: Finding,
    *,
    file: str,
    pseudonyms: StudyPseudonyms,
    saliency_preprocessing: Preprocessing | None = None,
) -> SliceFinding:
    """Make the API's finding of a slice.

    Parameters
    ----------
    prepared
        The slice as it was decoded.
    finding
        The model's finding of the slice.
    file
        The client's name of the file.
    pseudonyms
        Gives the pseudonym of the study.
    saliency_preprocessing
        Preprocessing of the model, by which the saliency map is placed on the slice. None leaves the map out.
    """
    height, width = prepared.slice.pixels.shape[:2]
    saliency = None
    if saliency_preprocessing is not None and finding.map is not None:
        picture = saliency_png(
            finding.map, (height, width), visible_box(prepared.slice.pixels, saliency_preprocessing)
        )
        saliency = base64.b64encode(picture).decode("ascii")
    return SliceFinding(
        file=file,
        slice=prepared.slice.index,
        study=None if prepared.slice.study is None else pseudonyms.pseudonym(prepared.slice.study),
        width=width,
        height=height,
        plane=prepared.slice.plane,
        modality=prepared.slice.modality,
        kind=prepared.slice.kind,
        saliency=saliency,
        **_common_fields(finding),
    )


def study_finding(finding: Finding, slices: Sequence[SliceFinding]) -> StudyFinding:
    """Make the API's finding of a study.

    Parameters
    ----------
    finding
        The model's finding of the study.
    slices
        Findings of all slices of the study. Localizers and derived maps among them are not counted.
    """
    first = slices[0]
    counted = sum(counted_slices([one.kind for one in slices]))
    return StudyFinding(
        file=first.file,
        study=first.study or "",
        modality=first.modality,
        slices=counted,
        **_common_fields(finding),
    )


def _common_fields(finding: Finding) -> dict[str, Any]:
    """Fields that findings of slices and of studies share, rounded: see `schemas.FindingFields`."""
    score, prediction_set = finding.outlier_score, finding.prediction_set
    return {
        "label": finding.label,
        "probabilities": {name: round(value, 6) for name, value in finding.probabilities.items()},
        "prediction_set": None if prediction_set is None else list(prediction_set),
        "outlier_score": None if score is None else round(score, 4),
        "verdict": finding.verdict,
        "notes": list(finding.notes),
    }
