"""`Slice`: one 2-D image of a scan, and what its file says about it."""

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
    """One slice of a scan.

    All attributes from `modality` on are None, or empty, where the file does not say.

    Attributes
    ----------
    pixels : ndarray
        uint8, (height, width) in grey or (height, width, 3) in RGB.
    path : Path
        The file. For what was in memory a name such as `<array>`.
    index : int
        Position within the file, from 0.
    format : str
        jpeg, png, bmp, tiff, webp, dicom, nifti, figshare-mat or array.
    modality : str or None
        DICOM's code, such as "MR" or "CT".
    spacing : tuple of float or None
        Distance between pixel centres in mm, (between rows, between columns).
    patient, study, series : str or None
        Pseudonyms. Equal identifiers give equal pseudonyms.
    label : str or None
        Class, where the file itself names it.
    mask : ndarray or None
        bool (height, width), outline of the tumour, where the file itself has it.
    mode : str or None
        Pillow's name of the pixel format of a raster file: L, RGB, P, RGBA, I;16 …
    quantisation : float or None
        Mean of a JPEG's luminance quantisation table; higher is coarser.
    plane : str or None
        axial, coronal or sagittal: whichever is the nearest.
    notes : tuple of str
        Where pixels were not read as the file says, and what else to know of how they came about. One
        sentence each, with the same wording for all files of that kind.
    intensity : IntensityFacts or None
        What the file says of its grey values, for the common scale of a series.
    kind : str or None
        "localizer", "derived map", "secondary capture" or "segmentation"; None for an acquired slice.
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
