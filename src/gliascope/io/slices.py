"""The unit everything works on: one 2-D image and what its file says about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from gliascope.io.scales import IntensityFacts


@dataclass(frozen=True, slots=True, eq=False)
class Slice:
    """One slice.

    pixels: uint8, (height, width) grey or (height, width, 3) RGB.
    index: position within the file, 0 for single images.
    format: source format in lower case: jpeg, png, bmp, tiff, webp, dicom, nifti, figshare-mat.
    modality: DICOM code ("MR", "CT") where the file says so.
    plane: axial, coronal or sagittal, the nearest, where the file says how the slice lies.
    spacing: mm between pixel centres, (row, column), where known.
    patient, study, series: pseudonyms (keyed by nothing but the original value) where known.
    label: class name where the file itself carries one.
    mask: bool (height, width), tumour outline where the file itself carries one.
    mode: Pillow's name of how a raster file holds its pixels: L, RGB, P, RGBA, I;16 …
    kind: "localizer", "derived map", "secondary capture" or "segmentation" where the file says so; else None.
    quantisation: mean of a JPEG's luminance quantisation table; the higher, the coarser.
    notes: what was read otherwise than the file says, and what else to know of how the pixels came about, one
        sentence each, the same for all files of that kind.
    grey: what the file says of its grey scale, which it may share with others; None where it does not.
    """

    pixels: NDArray[np.uint8]
    path: Path
    index: int
    format: str
    modality: str | None = None
    spacing: tuple[float, float] | None = None
    patient: str | None = None
    study: str | None = None
    series: str | None = None
    label: str | None = None
    mask: NDArray[np.bool_] | None = None
    mode: str | None = None
    quantisation: float | None = None
    plane: str | None = None
    notes: tuple[str, ...] = ()
    intensity: IntensityFacts | None = None
    kind: str | None = None
