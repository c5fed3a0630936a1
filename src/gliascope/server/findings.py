"""Findings as they go over the wire."""

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
    """Names for studies that only this server can tell: a patient is not found again by guessing UIDs."""

    def __init__(self, salt: bytes) -> None:
        self._salt = salt

    def pseudonym(self, study: str) -> str:
        """Keyed hash of what a file calls its study (HMAC-SHA256, cut to 128 bits)."""
        return hmac.new(self._salt, study.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()[:32]


def slice_finding(
    prepared: PreparedSlice,
    finding: Finding,
    file: str,
    pseudonyms: StudyPseudonyms,
    saliency_preprocessing: Preprocessing | None,
) -> SliceFinding:
    """Of a slice of the client's `file`; with its map if given the model's preprocessing, `maps_by`."""
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
        **_said(finding),
    )


def study_finding(finding: Finding, slices: Sequence[SliceFinding]) -> StudyFinding:
    """Of a study, of which these are the slices; those without a say in it are not counted."""
    first = slices[0]
    counted = sum(counted_slices([one.kind for one in slices]))
    return StudyFinding(
        file=first.file,
        study=first.study or "",
        modality=first.modality,
        slices=counted,
        **_said(finding),
    )


def _said(finding: Finding) -> dict[str, Any]:
    score, among = finding.outlier_score, finding.prediction_set
    return {
        "label": finding.label,
        "probabilities": {name: round(value, 6) for name, value in finding.probabilities.items()},
        "prediction_set": None if among is None else list(among),
        "outlier_score": None if score is None else round(score, 4),
        "verdict": finding.verdict,
        "notes": list(finding.notes),
    }
