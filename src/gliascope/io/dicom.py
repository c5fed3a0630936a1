"""DICOM files, through pydicom: what they hold, whether that can be decoded, and their facts."""

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
from gliascope.io.dicom_file import load, refuse_missing, text_of, uid_name
from gliascope.io.dicom_kind import check_kind, frame_kind
from gliascope.io.dicom_pixels import decode_frames
from gliascope.io.facts import pseudonym
from gliascope.io.scales import SINGLE_SLICE_NOTE, SeriesScale
from gliascope.io.slices import Slice

# pydicom quotes the values it stumbles over, and a value may name the patient. Process-wide,
# because `warnings.catch_warnings` is not safe in threads.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\.")


def read(path: Path, file: BinaryIO, scale: SeriesScale | None = None) -> list[Slice]:
    """Read a DICOM file, with or without preamble, one slice a frame; `index` is the frame within the file.

    scale: of the series, where others of its files are at hand; without it, one slice of a series says so in
    its `notes`, unless its values have a scale of their own. `dicom_pixels.frames` says how values become
    uint8. `spacing` is PixelSpacing, else ImagerPixelSpacing; `plane` is that of ImageOrientationPatient.
    `patient`, `study` and `series` are pseudonyms (`facts.pseudonym`) of PatientID, StudyInstanceUID and
    SeriesInstanceUID; no other text of the file is kept, and errors quote none of it. `kind` is what
    `dicom_kind.frame_kind` says of the frame.

    Raises NotAnImageError if there are no pixels, in a transfer syntax that no decoder here knows, or what is
    no slice of MR or CT (`dicom_kind.check_kind`), or lacks an element that cannot be
    completed (`dicom_file.load`), which is named; DamagedFileError; TooLargeError, before decoding.
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
        found, grey, notes = decode_frames(path, dataset, scale)
        if scale is None and len(found) == 1 and series and grey and grey.is_shared:
            notes = (*notes, SINGLE_SLICE_NOTE)
        return [
            Slice(
                one.pixels, path, index, "dicom", code, one.spacing, patient, study, series,
                plane=one.plane, notes=notes, intensity=grey, kind=frame_kind(dataset, index),
            )
            for index, one in enumerate(found)
        ]  # fmt: skip
    except (ReadError, MemoryError):
        raise
    except Exception as error:
        if name := _missing(error):
            refuse_missing(path, name)
        # The type only: what pydicom says may quote the patient's data.
        raise DamagedFileError(path, "DICOM truncated or damaged", type(error).__name__) from None


def _missing(error: Exception) -> str | None:
    """Keyword of the element whose lack an error is of: pydicom raises AttributeError and KeyError for it."""
    if isinstance(error, KeyError) and error.args and isinstance(error.args[0], BaseTag):
        return keyword_for_tag(error.args[0]) or None
    name = error.name if isinstance(error, AttributeError) else None
    return name if name and tag_for_keyword(name) is not None else None


def _raw_remedy(syntax: str) -> str:
    return "; ".join(filter(None, (uid_name(syntax), "decompress it first, e.g. by gdcmconv --raw")))


def _check(path: Path, dataset: FileDataset) -> None:
    """Refuse what is too large or cannot be decoded, from the elements and the frames' own headers."""
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
            # Decoders believe the frame, not the data set: some reserve gigabytes, GDCM may end the process.
            if frame_size(frame) != (rows, columns, channels):
                raise DamagedFileError(path, "DICOM frame does not have the size stated for it")
