"""Reader of DICOM files, by pydicom."""

import logging
import warnings
from pathlib import Path
from typing import BinaryIO

from pydicom import FileDataset, uid
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.tag import BaseTag

from gliascope.errors import DamagedFileError, NotAnImageError, ReadError
from gliascope.io import limits
from gliascope.io.codestream import frame_size
from gliascope.io.dicom_complete import refuse_missing, text_of
from gliascope.io.dicom_file import load, uid_name
from gliascope.io.dicom_kind import check_kind, frame_kind
from gliascope.io.dicom_pixels import decode_frames
from gliascope.io.facts import pseudonym
from gliascope.io.scales import SINGLE_SLICE_NOTE, SeriesScale
from gliascope.io.slices import Slice

# pydicom's log and warnings quote values that it cannot parse, and a value may name the patient.
# Process-wide, because `warnings.catch_warnings` is not safe in threads.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\.")


def read(path: Path, file: BinaryIO, scale: SeriesScale | None = None) -> list[Slice]:
    """Read a DICOM file, with or without preamble, as one slice for each frame.

    `dicom_pixels.decode_frames` describes how values become uint8.

    Parameters
    ----------
    path
        Name of the file in slices and errors. Frames of some transfer syntaxes are decoded from this path.
    file
        The open file.
    scale
        Grey scale of the series that the file belongs to. Without it, a slice of a series carries a note,
        unless its values have a fixed scale.

    Returns
    -------
    list of Slice
        One slice for each frame, in order. `spacing` is PixelSpacing, else ImagerPixelSpacing; `plane` is
        told by ImageOrientationPatient; `kind` by `dicom_kind.frame_kind`. `patient`, `study` and `series`
        are pseudonyms (`facts.pseudonym`) of PatientID, StudyInstanceUID and SeriesInstanceUID. No other text
        of the file is stored, and errors quote none of it.

    Raises
    ------
    NotAnImageError
        If the file has no pixels, has a transfer syntax without a decoder, is no slice of MR or CT, or lacks
        an element that decoding needs. The error names the kind or the element.
    DamagedFileError
        If the file is truncated or inconsistent.
    TooLargeError
        If the file exceeds a limit; this is checked before decoding.
    """
    try:
        dataset = load(path, file)
        check_kind(path, dataset)
        _check(path, dataset)
        modality = text_of(dataset, "Modality").upper()
        code = modality if modality.isalnum() else None
        patient, study, series = (
            pseudonym(text_of(dataset, name))
            for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
        )
        frames, grey, notes = decode_frames(path, dataset, scale)
        if scale is None and len(frames) == 1 and series and grey and grey.is_shared:
            notes = (*notes, SINGLE_SLICE_NOTE)
        return [
            Slice(
                frame.pixels, path, index, "dicom", code, frame.spacing, patient, study, series,
                plane=frame.plane, notes=notes, intensity=grey, kind=frame_kind(dataset, index),
            )
            for index, frame in enumerate(frames)
        ]  # fmt: skip
    except (ReadError, MemoryError):
        raise
    except Exception as error:
        if name := _missing_element(error):
            refuse_missing(path, name)
        # The type only: pydicom's message may quote the patient's data.
        raise DamagedFileError(path, "DICOM truncated or damaged", type(error).__name__) from None


def _missing_element(error: Exception) -> str | None:
    """Return the keyword of the missing element that an AttributeError or KeyError of pydicom names."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], BaseTag):
        return keyword_for_tag(error.args[0]) or None
    name = error.name if isinstance(error, AttributeError) else None
    return name if name and tag_for_keyword(name) is not None else None


def _raw_remedy(syntax: str) -> str:
    return "; ".join(filter(None, (uid_name(syntax), "decompress it first, e.g. by gdcmconv --raw")))


def _check(path: Path, dataset: FileDataset) -> None:
    """Refuse pixels that are too large or cannot be decoded, by the elements and the frames' headers."""
    rows, columns, channels = dataset.Rows, dataset.Columns, dataset.SamplesPerPixel
    bits, count = dataset.BitsAllocated, int(dataset.get("NumberOfFrames") or 1)
    limits.check_slice(path, rows, columns)
    limits.check_total(path, count, count * rows * columns * channels * max(bits // 8, 1))
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        decodable = get_decoder(syntax).is_available
    except NotImplementedError:
        decodable = False
    if not decodable or (syntax == uid.JPEGExtended12Bit and dataset.BitsStored != 8):
        raise NotAnImageError(path, "no decoder for this DICOM transfer syntax", _raw_remedy(syntax))
    if syntax.is_encapsulated and syntax != uid.RLELossless:
        for frame in generate_frames(dataset.PixelData, number_of_frames=count):
            # Decoders trust the frame's header, not the data set: a false size may make them reserve
            # gigabytes or, in GDCM, end the process.
            if frame_size(frame) != (rows, columns, channels):
                raise DamagedFileError(path, "DICOM frame does not have the size that the file states")
