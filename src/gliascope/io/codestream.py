"""Headers of compressed frames: size and coding of JPEG, JPEG-LS and JPEG 2000 streams.

They are read before decoding, since decoders trust them: a false size may make a decoder crash.
"""

from typing import NamedTuple

_JP2 = b"\0\0\0\x0cjP  "
_J2K_START = b"\xff\x4f\xff\x51"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


class FrameSize(NamedTuple):
    """Size of a compressed frame: height and width in pixels, and number of channels."""

    height: int
    width: int
    channels: int


class JpegCoding(NamedTuple):
    """Coding of a JPEG or JPEG-LS stream.

    Attributes
    ----------
    marker
        Second byte of the start-of-frame marker, which states the kind of compression.
    bits
        Bits of a sample.
    size
        Size of the frame.
    """

    marker: int
    bits: int
    size: FrameSize


def frame_size(data: bytes) -> FrameSize | None:
    """Return the size that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if it declares none.

    References
    ----------
    ITU-T T.81, B.2.2 and T.87, C.2.2 (start-of-frame segment); T.800, A.5.1 (SIZ segment).
    """
    start = _codestream_offset(data)
    if data[start : start + 4] == _J2K_START:
        return _jpeg_2000(data[start + 4 : start + 42])
    return _jpeg(data)


def _codestream_offset(data: bytes) -> int:
    """Return the offset of the JPEG 2000 code stream in a JP2 file; 0 for any other data.

    DICOM allows the code stream only, but some writers store a whole JP2 file. A box of length 0 ends the
    search, since it would never advance (pydicom 3.0 loops for ever on such a box).
    """
    offset = 12 if data.startswith(_JP2) else 0
    while offset and offset + 8 <= len(data):
        length = int.from_bytes(data[offset : offset + 4])
        if data[offset + 4 : offset + 8] == b"jp2c":
            return offset + 8
        offset = offset + length if length >= 8 else 0
    return 0


def _jpeg_2000(siz: bytes) -> FrameSize | None:
    if len(siz) < 38:
        return None
    right, bottom, left, top = (int.from_bytes(siz[start : start + 4]) for start in (4, 8, 12, 16))
    return FrameSize(bottom - top, right - left, int.from_bytes(siz[36:38]))


def _jpeg(data: bytes) -> FrameSize | None:
    coding = jpeg_coding(data)
    return coding and coding.size


def jpeg_coding(data: bytes) -> JpegCoding | None:
    """Return what the start-of-frame segment of a JPEG or JPEG-LS stream states; None if there is none."""
    offset = 2
    while data[:2] == b"\xff\xd8" and offset + 10 <= len(data) and data[offset] == 0xFF:
        marker = data[offset + 1]
        if marker in _SOF:
            height = int.from_bytes(data[offset + 5 : offset + 7])
            width = int.from_bytes(data[offset + 7 : offset + 9])
            return JpegCoding(marker, data[offset + 4], FrameSize(height, width, data[offset + 9]))
        if marker == 0xFF:  # padding
            offset += 1
        elif marker in _STANDALONE:
            offset += 2
        else:
            offset += 2 + int.from_bytes(data[offset + 2 : offset + 4])
    return None
