"""Load a DICOM file as a data set that can be decoded.

Missing elements are completed where the rest of the file leaves only one possible value.
"""

import zlib
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from pydicom import FileDataset, dcmread, uid
from pydicom.filereader import read_dataset, read_preamble

from gliascope.errors import DamagedFileError, NotAnImageError
from gliascope.io import limits, signatures
from gliascope.io.dicom_complete import (
    PIXEL_KEYWORDS,
    complete_elements,
    is_native,
    refuse_missing,
    text_of,
)
from gliascope.io.dicom_kind import unsupported_kind

_UNDEFINED = 0xFFFFFFFF


def load(path: Path, file: BinaryIO) -> FileDataset:
    """Parse a DICOM file and complete the elements that decoding needs.

    Parameters
    ----------
    path
        The file, for errors.
    file
        The open file. A preamble without its `DICM`, or `DICM` without the preamble, is skipped.

    Returns
    -------
    FileDataset
        The data set with its transfer syntax set (never the deflated one), and with Rows, Columns,
        SamplesPerPixel, BitsAllocated, BitsStored and the like as whole numbers.

    Raises
    ------
    NotAnImageError
        If there are no pixels, or an element is missing or not supported. The error names the element.
    DamagedFileError
        If the file is truncated or its elements contradict each other.
    TooLargeError
        If the inflated data set exceeds `limits.MAX_BYTES`.
    """
    file = _from_start(file)
    deflated = _deflated(path, file)
    dataset = dcmread(deflated or file, force=True)
    if not any(name in dataset for name in PIXEL_KEYWORDS):
        _refuse_without_pixels(path, dataset)
    if deflated or "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = uid.ExplicitVRLittleEndian if little else uid.ExplicitVRBigEndian
        dataset.file_meta.TransferSyntaxUID = uid.ImplicitVRLittleEndian if implicit else explicit
    pixels: Any = dataset.get_item("PixelData")
    if pixels is not None and getattr(pixels, "length", 0) == _UNDEFINED and is_native(dataset):
        refuse_missing(path, "TransferSyntaxUID", "the file does not state how its pixels are compressed")
    complete_elements(path, dataset)
    return dataset


def uid_name(identifier: str) -> str:
    """Return the name of a registered UID; empty for any other text, so that errors do not quote it."""
    name = uid.UID(identifier).name
    return "" if name == identifier else name


def _from_start(file: BinaryIO) -> BinaryIO:
    """Return the file without an incomplete preamble, which pydicom would not skip."""
    head = file.read(signatures.HEAD_BYTES)
    file.seek(0)
    skipped = signatures.dicom_offset(head)
    return BytesIO(file.read()[skipped:]) if skipped else file


def _refuse_without_pixels(path: Path, dataset: FileDataset) -> NoReturn:
    """Raise the error that says why a data set has no pixels."""
    if len(dataset) == 0 and dataset.preamble:
        # pydicom returns an empty data set where the file ends within an element.
        raise DamagedFileError(path, "DICOM truncated or damaged", "no element can be read")
    if len(dataset) == 0:
        raise NotAnImageError(path, "format not recognised", "it starts like DICOM, but holds no element")
    kind = text_of(dataset, "SOPClassUID") or text_of(dataset.file_meta, "MediaStorageSOPClassUID")
    raise NotAnImageError(path, "DICOM without pixel data", uid_name(kind) or unsupported_kind(dataset) or "")


def _deflated(path: Path, file: BinaryIO) -> BinaryIO | None:
    """Inflate the data set of a deflated file, up to the size limit, which pydicom would not check."""
    may_be_deflated = str(uid.DeflatedExplicitVRLittleEndian).encode() in file.read(4096)
    file.seek(0)
    if not may_be_deflated:
        return None
    read_preamble(file, force=True)
    meta = read_dataset(file, False, True, stop_when=lambda tag, vr, length: tag >> 16 != 2)
    if meta.get("TransferSyntaxUID") != uid.DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return None
    inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), limits.MAX_BYTES + 1)
    limits.check_total(path, 1, len(inflated))
    return BytesIO(inflated)
