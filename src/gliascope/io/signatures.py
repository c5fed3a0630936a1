"""Recognition of file formats by their first bytes. File names and extensions are not used.

Every function takes the first `HEAD_BYTES` bytes of a file.
"""

import struct
import zlib

HEAD_BYTES = 4096
"""Number of bytes at the start of a file that are enough to recognise its format."""

_BMP_HEADERS = frozenset({12, 16, 40, 52, 56, 64, 108, 124})
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_HDF5 = b"\x89HDF\r\n\x1a\n"
_NIFTI = {348: (344, (b"n+1\0", b"ni1\0")), 540: (4, (b"n+2\0", b"ni2\0"))}
_LAST_FIRST_ELEMENT = 0x0018
_PREAMBLE = 128


def is_raster(head: bytes) -> bool:
    """Whether the file is JPEG, PNG, BMP, TIFF (also BigTIFF) or WebP."""
    return (
        head.startswith((b"\xff\xd8\xff", _PNG, *_TIFF))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or (head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADERS)
    )


def may_be_over_8_bits(head: bytes) -> bool:
    """Whether the file is a PNG of 16 bits a channel, or any TIFF: both may hold grey of more than 8 bits."""
    return head.startswith(_TIFF) or (head.startswith(_PNG) and head[24:25] == b"\x10")


def is_dicom(head: bytes) -> bool:
    """Whether the file is DICOM with a preamble: 128 bytes of any content, then `DICM` (PS3.10, 7.1).

    Ask this before `is_raster`, since the preamble may be a TIFF header.
    """
    return head[128:132] == b"DICM"


def is_bare_dicom(head: bytes) -> bool:
    """Whether the file is a DICOM data set whose preamble, or the `DICM` after the preamble, is missing.

    Such a data set has no magic number. It is recognised by a first element in group 2 or 8, in either byte
    order. Ask this after all other formats.
    """
    head = head[dicom_offset(head) :]
    for order in "<>":
        group, element = struct.unpack(order + "HH", head[:4].ljust(4))
        if group in (0x0002, 0x0008) and element <= _LAST_FIRST_ELEMENT:
            explicit = head[4:6].isalpha() and head[4:6].isupper()
            length = int.from_bytes(head[4:8].ljust(4, b"\xff"), "little")
            return explicit or (order == "<" and length <= 256)
    return False


def dicom_offset(head: bytes) -> int:
    """Return how many bytes precede the data set of a file that `is_dicom` does not recognise.

    They are 4 for `DICM` without its preamble, 128 for a preamble without its `DICM`, else 0.
    """
    if head[:4] == b"DICM":
        return 4
    return _PREAMBLE if not is_dicom(head) and len(set(head[:_PREAMBLE])) == 1 else 0


def is_nifti(head: bytes) -> bool:
    """Whether the file is NIfTI-1 or NIfTI-2, plain or gzipped, or the header file of a NIfTI pair."""
    if head[:2] == b"\x1f\x8b":
        try:
            head = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 600)
        except zlib.error:
            return False
    for order in "<>":
        (size,) = struct.unpack(order + "i", head[:4].ljust(4))
        start, magics = _NIFTI.get(size, (0, ()))
        if head[start : start + 4] in magics:
            return True
    return False


def is_hdf5(head: bytes) -> bool:
    """Whether the file is HDF5, also after a user block of 512 to 2048 bytes, as MATLAB v7.3 writes it."""
    return any(head[start : start + 8] == _HDF5 for start in (0, 512, 1024, 2048))


def is_matlab5(head: bytes) -> bool:
    """Whether the file is MATLAB v5, as `save -v6` and `-v7` write it: version 1, then an array."""
    return (head[124:128] == b"\0\1IM" and head[128:132] in (b"\x0e\0\0\0", b"\x0f\0\0\0")) or (
        head[124:128] == b"\1\0MI" and head[128:132] in (b"\0\0\0\x0e", b"\0\0\0\x0f")
    )
