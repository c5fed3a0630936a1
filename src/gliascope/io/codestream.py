"""What a compressed frame says about itself, read before a decoder acts on it."""

from typing import NamedTuple

_JP2 = b"\0\0\0\x0cjP  "
_J2K_START = b"\xff\x4f\xff\x51"
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_SOF = frozenset({*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC})


class FrameSize(NamedTuple):
    """Size of one compressed frame."""

    height: int
    width: int
    channels: int


class JpegCoding(NamedTuple):
    """How a JPEG is coded: the second byte of its start-of-frame marker, and bits a sample."""

    marker: int
    bits: int
    size: FrameSize


def frame_size(data: bytes) -> FrameSize | None:
    """Size that a JPEG, JPEG-LS or JPEG 2000 stream declares; None if it declares none.

    From the start-of-frame segment (ITU-T T.81 B.2.2, T.87 C.2.2) or the SIZ segment (T.800 A.5.1).
    """
    start = _after_boxes(data)
    if data[start : start + 4] == _J2K_START:
        return _jpeg_2000(data[start + 4 : start + 42])
    return _jpeg(data)


def _after_boxes(data: bytes) -> int:
    """Where the code stream starts in a JP2 file, which a frame should not be and at times is; else 0.

    A box of no length ends the walk: pydicom 3.0 walks the same way and never comes to an end there.
    """
    at = 12 if data.startswith(_JP2) else 0
    while at and at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        if data[at + 4 : at + 8] == b"jp2c":
            return at + 8
        at = at + length if length >= 8 else 0
    return 0


def _jpeg_2000(siz: bytes) -> FrameSize | None:
    if len(siz) < 38:
        return None
    right, bottom, left, top = (int.from_bytes(siz[at : at + 4]) for at in (4, 8, 12, 16))
    return FrameSize(bottom - top, right - left, int.from_bytes(siz[36:38]))


def _jpeg(data: bytes) -> FrameSize | None:
    coding = jpeg_coding(data)
    return coding and coding.size


def jpeg_coding(data: bytes) -> JpegCoding | None:
    """What the start-of-frame segment of a JPEG or JPEG-LS stream says; None if it has none."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in _SOF:
            height, width = int.from_bytes(data[at + 5 : at + 7]), int.from_bytes(data[at + 7 : at + 9])
            return JpegCoding(marker, data[at + 4], FrameSize(height, width, data[at + 9]))
        if marker == 0xFF:  # padding
            at += 1
        elif marker in _STANDALONE:
            at += 2
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4])
    return None
