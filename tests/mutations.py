"""Small files of every format that `read` knows, and what chance or malice may make of them.

A case is a function of seed and number alone, but for identifiers that writers draw.
"""

import gzip
import io
import random
import re
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from making import Make, dataset
from PIL import Image

_NOISE = np.random.default_rng(0).integers(0, 40, (24, 32))
GREY = (np.add.outer(np.arange(24), np.arange(32)) * 3 + _NOISE).astype(np.uint8)
COLOUR = np.stack([GREY, GREY[::-1], 255 - GREY], axis=-1)
DEEP = (np.arange(24 * 32) * 5 % 4096).astype(np.uint16).reshape(24, 32)
VOLUME = (np.arange(8 * 10 * 5) * 7 % 1500).astype(np.int16).reshape(8, 10, 5)
RGB_VOXELS = np.zeros((6, 5, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
_12_BITS = {"BitsStored": 12, "HighBit": 11}
_NAMES = {"PatientID": "P1", "StudyInstanceUID": "1.2.3.4", "WindowCenter": 2000, "WindowWidth": 4000}
_RESCALE = {
    "Modality": "CT",
    "RescaleSlope": "1.500000000",
    "RescaleIntercept": "-1024.0000",
    "PixelSpacing": ["0.4883", "0.4883"],
    "ImageOrientationPatient": ["1.000", "0.000", "0.000", "0.000", "1.000", "0.000"],
}
_TABLE = [dataset(LUTDescriptor=[256, 0, 8], LUTData=np.arange(255, -1, -1).astype("<u2").tobytes())]
_WINDOW = dataset(WindowCenter="2000.00000", WindowWidth="4000.00000")
_ENHANCED = {
    "PerFrameFunctionalGroupsSequence": [dataset(FrameVOILUTSequence=[_WINDOW])] * 2,
    "SharedFunctionalGroupsSequence": [dataset(PixelMeasuresSequence=[dataset(PixelSpacing=["1.0", "1.0"])])],
}

KINDS: dict[str, Callable[[Make], Path]] = {
    "jpeg": lambda make: make.image(GREY, "JPEG"),
    "jpeg progressive": lambda make: make.image(COLOUR, "JPEG", progressive=True),
    "jpeg cmyk": lambda make: make.image(Image.fromarray(COLOUR).convert("CMYK"), "JPEG"),
    "png": lambda make: make.image(GREY, "PNG"),
    "png colour": lambda make: make.image(COLOUR, "PNG"),
    "png 16": lambda make: make.image(DEEP, "PNG"),
    "png palette": lambda make: make.image(Image.fromarray(COLOUR).quantize(7), "PNG", transparency=0),
    "bmp": lambda make: make.image(COLOUR, "BMP"),
    "tiff": lambda make: make.image(GREY, "TIFF"),
    "tiff lzw": lambda make: make.image(COLOUR, "TIFF", compression="tiff_lzw"),
    "tiff deflate 16": lambda make: make.image(DEEP, "TIFF", compression="tiff_adobe_deflate"),
    "tiff jpeg": lambda make: make.image(COLOUR, "TIFF", compression="jpeg"),
    "tiff pages": lambda make: make.image(
        GREY, "TIFF", save_all=True, append_images=[Image.fromarray(COLOUR)], big_tiff=True
    ),
    "webp": lambda make: make.image(COLOUR, "WEBP", lossless=True),
    "webp lossy": lambda make: make.image(COLOUR, "WEBP", quality=60),
    "dicom": lambda make: make.dicom(DEEP, **_12_BITS, **_NAMES),
    "dicom colour": lambda make: make.dicom(COLOUR),
    "dicom frames": lambda make: make.dicom(np.stack([GREY, GREY + 1, GREY + 2]), frames=3),
    "dicom rle": lambda make: make.dicom_rle(np.stack([GREY, GREY + 1]), frames=2),
    "dicom jpeg": lambda make: make.dicom_pillow(GREY, quality=80),
    "dicom jpeg 2000": lambda make: make.dicom_pillow(GREY),
    "dicom jpeg lossless": lambda make: make.gdcm(DEEP, "JPEGLosslessProcess14_1", **_12_BITS),
    "dicom jpeg ls": lambda make: make.gdcm(DEEP, "JPEGLSLossless", **_12_BITS),
    "dicom rescaled": lambda make: make.dicom(DEEP.astype(np.int16), **_RESCALE),
    "dicom tables": lambda make: make.dicom(GREY, VOILUTSequence=_TABLE, ModalityLUTSequence=_TABLE),
    "dicom enhanced": lambda make: make.dicom(np.stack([DEEP, DEEP]), frames=2, **_12_BITS, **_ENHANCED),
    "dicom bare": lambda make: make.bytes(make.dicom(GREY).read_bytes()[132:]),
    "nifti 1": lambda make: make.nifti(VOLUME),
    "nifti 2": lambda make: make.nifti(VOLUME.astype(np.float32), version=2, scl_slope=2),
    "nifti gz": lambda make: make.nifti(VOLUME, packed=True),
    "nifti rgb": lambda make: make.nifti(RGB_VOXELS),
    "matlab 5": lambda make: make.matlab5(image=VOLUME[..., 0], label=2.0, PID="P1"),
    "matlab 5 compressed": lambda make: make.matlab5(
        True, image=VOLUME[..., 0], tumorMask=VOLUME[..., 0] > 9
    ),
    "figshare": lambda make: make.figshare(
        VOLUME[..., 0], label=np.ones((1, 1)), PID=np.array([[49, 50]]), tumorMask=VOLUME[..., 0].T > 700
    ),
}
ZIP = "zip"
"""A kind that only the server reads."""


def corpus() -> dict[str, bytes]:
    """The whole files, by kind."""
    with tempfile.TemporaryDirectory() as folder:
        make = Make(Path(folder))
        files = {name: build(make).read_bytes() for name, build in KINDS.items()}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("dicom", "png", "nifti gz"):
            archive.writestr(f"series/{name}", files[name])
    return files | {ZIP: packed.getvalue()}


def case(files: dict[str, bytes], seed: int, number: int) -> tuple[str, bytes]:
    """Kind and content of one case: the kinds in turn, each changed in one to four ways."""
    rng = random.Random(f"{seed}/{number}")
    kind = list(files)[number % len(files)]
    content = files[kind]
    unpack = content[:2] == b"\x1f\x8b" and rng.random() < 0.7
    changed = bytearray(gzip.decompress(content) if unpack else content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        rng.choice(CHANGES)(rng, changed, files)
    if unpack:
        return kind, gzip.compress(changed, 1, mtime=0)
    return kind, _with_checksums(bytes(changed)) if rng.random() < 0.7 else bytes(changed)


def _flip(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    for _count in range(rng.choice((1, 2, 8, 32))):
        if content:
            content[_place(rng, content)] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    del content[_place(rng, content) :]


def _drop(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    start = _place(rng, content)
    del content[start : start + rng.choice((1, 2, 4, 8, 64, 512))]


def _repeat(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    start = _place(rng, content)
    content[start:start] = content[start : start + rng.choice((1, 4, 16, 128))] * rng.choice((1, 2, 100))


def _splice(rng: random.Random, content: bytearray, files: dict[str, bytes]) -> None:
    other = rng.choice(list(files.values()))
    start = rng.randrange(len(other))
    place = _place(rng, content)
    length = rng.choice((4, 32, 256, len(other)))
    content[place : place + rng.choice((0, length))] = other[start : start + length]


def _extreme(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    """A field says the least, the most, or next to it."""
    size = rng.choice((1, 2, 4, 8))
    most = 2 ** (8 * size)
    value = rng.choice((0, 1, 2, 127, 255, most - 1, most // 2, most // 2 - 1, most - 2, 65_535 % most))
    place = _place(rng, content)
    content[place : place + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _lie(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    """A number that may be a length, as it fits into the file, becomes another."""
    order, size = rng.choice("<>"), rng.choice((2, 4))
    code = order + {2: "H", 4: "I"}[size]
    for _attempt in range(50):
        place = _place(rng, content)
        if place + size > len(content):
            continue
        (value,) = struct.unpack_from(code, content, place)
        if 2 <= value <= len(content):
            most = 2 ** (8 * size) - 1
            lies = (value + 1, value - 1, value * 2, value // 2, value * 1000, len(content), most)
            struct.pack_into(code, content, place, min(rng.choice(lies), most))
            return


def _digits(rng: random.Random, content: bytearray, _: dict[str, bytes]) -> None:
    """DICOM writes many numbers as text."""
    runs = [match.span() for match in re.finditer(rb"[0-9.\\-]+", content)]
    if runs:
        start, end = rng.choice(runs)
        text = rng.choice((b"0", b"-1", b"65535", b"99999999999", b"1e308", b"nan", b"", b"\\\\", b"\xff"))
        content[start:end] = text.ljust(end - start)[: end - start]


CHANGES: tuple[Callable[[random.Random, bytearray, dict[str, bytes]], None], ...] = (
    _flip,
    _flip,
    _cut,
    _drop,
    _repeat,
    _splice,
    _extreme,
    _extreme,
    _lie,
    _lie,
    _digits,
)


def _place(rng: random.Random, content: bytearray) -> int:
    """Half of the time near the start, where headers are."""
    return rng.randrange(max(1, min(len(content), rng.choice((512, len(content))))))


def _with_checksums(content: bytes) -> bytes:
    """A PNG's chunks with checksums that are right, so that more than the checksum is tried."""
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return content
    fixed, place = bytearray(content), 8
    while place + 12 <= len(fixed):
        (length,) = struct.unpack_from(">I", fixed, place)
        if place + 12 + length > len(fixed):
            break
        struct.pack_into(">I", fixed, place + 8 + length, zlib.crc32(fixed[place + 4 : place + 8 + length]))
        place += 12 + length
    return bytes(fixed)
