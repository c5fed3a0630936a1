"""DICOM files, through pydicom: what they hold, whether that can be decoded, and their facts."""

import logging
import warnings
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

from pydicom import Dataset, FileDataset, dcmread, uid
from pydicom.encaps import generate_frames
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels.decoders.base import get_decoder

from gliascope.data.read import limits
from gliascope.data.read.codestream import frame_size
from gliascope.data.read.dicom_pixels import frames
from gliascope.data.read.facts import pseudonym
from gliascope.data.read.scales import ALONE, Scale
from gliascope.data.slices import Slice
from gliascope.errors import DamagedFileError, NotAnImageError, ReadError

_PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# pydicom quotes the values it stumbles over, and a value may name the patient. Process-wide,
# because `warnings.catch_warnings` is not safe in threads.
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)
warnings.filterwarnings("ignore", module=r"pydicom\.")


def read(path: Path, file: BinaryIO, scale: Scale | None = None) -> list[Slice]:
    """Read a DICOM file, with or without preamble, one slice a frame; `index` is the frame within the file.

    scale: of the series, where others of its files are at hand; without it, one slice of a series says so in
    its `notes`, unless its values have a scale of their own. `dicom_pixels.frames` says how values become
    uint8. `spacing` is PixelSpacing, else ImagerPixelSpacing; `plane` is that of ImageOrientationPatient.
    `patient`, `study` and `series` are pseudonyms (`facts.pseudonym`) of PatientID, StudyInstanceUID and
    SeriesInstanceUID; no other text of the file is kept, and errors quote none of it.

    Raises NotAnImageError if there are no pixels, or in a transfer syntax that no decoder here knows;
    DamagedFileError; TooLargeError, before decoding.
    """
    try:
        dataset = _dataset(path, file)
        _check(path, dataset)
        modality = _text(dataset, "Modality").upper()
        code = modality if modality.isalnum() else None
        patient, study, series = (
            pseudonym(_text(dataset, name)) for name in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID")
        )
        found, grey, notes = frames(path, dataset, scale)
        if scale is None and len(found) == 1 and series and grey and grey.shares:
            notes = (*notes, ALONE)
        return [
            Slice(
                one.pixels, path, index, "dicom", code, one.spacing, patient, study, series,
                plane=one.plane, notes=notes, grey=grey,
            )
            for index, one in enumerate(found)
        ]  # fmt: skip
    except (ReadError, MemoryError):
        raise
    except Exception as error:
        # The type only: what pydicom says may quote the patient's data.
        raise DamagedFileError(path, "DICOM truncated or damaged", type(error).__name__) from None


def _dataset(path: Path, file: BinaryIO) -> FileDataset:
    """Parse the file; afterwards its transfer syntax is set, and is never the deflated one."""
    deflated = _deflated(path, file)
    dataset = dcmread(deflated or file, force=True)
    if not any(name in dataset for name in _PIXELS):
        if len(dataset) == 0 and dataset.preamble:
            # What pydicom returns where the file ends within an element.
            raise DamagedFileError(path, "DICOM truncated or damaged", "no element can be read")
        if len(dataset) == 0:
            raise NotAnImageError(path, "format not recognised", "looked like DICOM, but holds no element")
        kind = _text(dataset, "SOPClassUID") or _text(dataset.file_meta, "MediaStorageSOPClassUID")
        raise NotAnImageError(path, "DICOM without pixel data", _known(kind))
    if deflated or "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    return dataset


def _deflated(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Inflate the data set of a deflated file, within the limit, which pydicom's own way does not know."""
    found = str(uid.DeflatedExplicitVRLittleEndian).encode() in file.read(4096)
    file.seek(0)
    if not found:
        return None
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return None
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), limits.MAX_BYTES + 1)
    limits.check_total(path, 1, len(inflated))
    return BytesIO(inflated)


def _check(path: Path, dataset: FileDataset) -> None:
    """Refuse what is too large or cannot be decoded, from the elements and the frames' own headers."""
    rows, columns, channels, bits = (
        int(dataset[name].value) for name in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")
    )
    count = int(dataset.get("NumberOfFrames") or 1)
    limits.check_slice(path, rows, columns)
    limits.check_total(path, count, count * rows * columns * channels * max(bits // 8, 1))
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        known = get_decoder(syntax).is_available
    except NotImplementedError:
        known = False
    if not known or (syntax == uid.JPEGExtended12Bit and dataset.BitsStored != 8):
        raise NotAnImageError(path, "no decoder for this DICOM transfer syntax", _known(syntax))
    if syntax.is_encapsulated and syntax != uid.RLELossless:
        for frame in generate_frames(dataset.PixelData, number_of_frames=count):
            # Decoders believe the frame, not the data set: some reserve gigabytes, GDCM may end the process.
            if frame_size(frame) != (rows, columns, channels):
                raise DamagedFileError(path, "DICOM frame does not have the size stated for it")


def _text(dataset: Dataset, name: str) -> str:
    value: Any = dataset.get(name)
    return "" if value is None else str(value).strip()


def _known(identifier: str) -> str:
    """Name of a registered UID; nothing for any other text, which may be anything."""
    name = uid.UID(identifier).name
    return "" if name == identifier else name
