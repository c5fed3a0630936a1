"""Recognition of images that Pillow cannot decode although they are whole.

They are reported as not supported, with a remedy, and not as damaged.
"""

from collections.abc import Callable
from functools import wraps
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, ParamSpec, cast

from PIL import TiffImagePlugin

from gliascope.errors import NotAnImageError, TooLargeError
from gliascope.io.codestream import jpeg_coding
from gliascope.io.slices import Slice

P = ParamSpec("P")
_REASON, _REMEDY = "image of a kind that is not supported", "save it as PNG, or as TIFF without compression"
_JPEG_CODINGS = frozenset({0xC0, 0xC1, 0xC2, 0xC9, 0xCA})  # sequential and progressive
_TIFF_COMPRESSION, _TIFF_PHOTOMETRIC = 259, 262
_TIFF_PHOTOMETRICS = frozenset(range(10)) - {7}
_BMP_COMPRESSIONS = frozenset({0, 1, 2, 3, 6})


def name_unsupported(reader: Callable[P, list[Slice]]) -> Callable[P, list[Slice]]:
    """Decorate a reader so that it raises NotAnImageError where Pillow does not support the image's coding.

    The error names the coding. Any other failure of the reader is raised as it is.
    """

    @wraps(reader)
    def read(*arguments: P.args, **options: P.kwargs) -> list[Slice]:
        path, file = cast(tuple[Path, BinaryIO], arguments[:2])
        try:
            return reader(*arguments, **options)
        except (TooLargeError, NotAnImageError, MemoryError):
            raise
        except Exception:
            file.seek(0)
            if kind := unsupported_coding(file.read()):
                raise NotAnImageError(path, _REASON, f"{kind}; {_REMEDY}") from None
            raise

    return read


def unsupported_coding(content: bytes) -> str | None:
    """Name the compression or colour model of an image that Pillow cannot decode; None where it can.

    Parameters
    ----------
    content
        The whole file: JPEG, BMP or TIFF. Of other formats, Pillow decodes every coding.
    """
    if content[:2] == b"\xff\xd8":
        return _jpeg(content)
    if content[:2] == b"BM":
        compression = int.from_bytes(content[30:34], "little")
        return None if compression in _BMP_COMPRESSIONS else f"BMP compression {compression}"
    return _tiff(content) if content[:2] in (b"II", b"MM") else None


def _jpeg(content: bytes) -> str | None:
    coding = jpeg_coding(content)
    if coding is None:
        return None
    if coding.bits != 8:
        return f"JPEG of {coding.bits} bits"
    return None if coding.marker in _JPEG_CODINGS else "lossless, hierarchical or near-lossless JPEG"


def _tiff(content: bytes) -> str | None:
    try:
        file = BytesIO(content)
        directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(16 if content[2:3] == b"+" else 8))
        file.seek(directory.next)
        directory.load(file)
        compression, photometric = (
            directory.get(tag, default) for tag, default in ((_TIFF_COMPRESSION, 1), (_TIFF_PHOTOMETRIC, 1))
        )
    except Exception:  # the directory itself is damaged
        return None
    if compression not in TiffImagePlugin.COMPRESSION_INFO:
        return f"TIFF compression {compression}"
    return None if photometric in _TIFF_PHOTOMETRICS else f"TIFF photometric interpretation {photometric}"
