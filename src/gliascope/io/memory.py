"""Sources in memory, which `read` takes in place of a file.

These are NumPy arrays, Pillow images, pydicom data sets, nibabel images and slices. Each is read like a file
of the same content, by the reader of that format. An ambiguous object is refused with InputError, whose
message says which call to use instead.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gliascope.errors import DamagedFileError, InputError, ReadError, TooLargeError
from gliascope.io import arrays
from gliascope.io.intensity import Values
from gliascope.io.scales import SeriesScale
from gliascope.io.slices import Slice
from gliascope.runtime.paths import to_path

_BYTES = "give the path of the file; or open it first, by PIL.Image.open or pydicom.dcmread of io.BytesIO(x)"
_FILE = "give the path of the file; or open it first, by PIL.Image.open(x) or pydicom.dcmread(x)"


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """One slice or one volume in memory, which `read` takes in place of a file.

    Attributes
    ----------
    path : Path
        Name in findings and errors, in place of a file's path, such as `<array>`.
    decode : callable
        Takes `path` and the grey scale of the series (or None), and returns the slices.
    may_be_in_series : bool
        Whether it may be one of several files of a series, which share a grey scale.
    """

    path: Path
    decode: Callable[[Path, SeriesScale | None], list[Slice]]
    may_be_in_series: bool = False

    def __str__(self) -> str:
        return str(self.path)

    def read(self, scale: SeriesScale | None = None) -> list[Slice]:
        """Decode the slices, on the grey scale of their series if there is one.

        Raises
        ------
        ReadError
            If the content is damaged or over a limit.
        InputError
            If it is of a kind that cannot be read.
        """
        with as_read_error(self.path, "cannot be read"):
            return self.decode(self.path, scale)


Source = Path | InMemory
"""Anything that `read` takes: a file or a URL, or an object in memory."""


def to_source(content: object, number: int | None = None) -> Source:
    """Make a source of whatever holds one slice or one volume.

    Parameters
    ----------
    content : object
        A path or URL; a Slice; an array (height, width) in grey or (height, width, 3) in RGB; a Pillow image;
        a pydicom Dataset; a nibabel NIfTI image.
    number : int, optional
        Index in the user's list, from 0. Findings and errors then name it: `<array 3>`.

    Returns
    -------
    Path or InMemory

    Raises
    ------
    InputError
        For anything else; the message says how to convert it. Arrays are checked here, before any work.
    """
    if isinstance(content, str | os.PathLike) or hasattr(content, "is_dir"):
        return _path(content)
    if isinstance(content, Slice):
        return InMemory(content.path, lambda _path, _scale: [content])
    if isinstance(content, np.ndarray):
        path = _named("array", number)
        array = arrays.check_picture(path, content)
        arrays.refuse_mask(path, [array])
        return InMemory(path, lambda path, _scale: arrays.to_slices(path, [array]))
    return _of_library(content, number)


def volume_source(array: object, axis: object, spacing: object) -> InMemory:
    """Make a source of an array with the slices of one volume.

    Parameters
    ----------
    array : object
        A NumPy array with three axes.
    axis : object
        The axis along which the slices lie: 0 to 2, or -3 to -1 from the last.
    spacing : object
        Three numbers, mm between the voxels along each axis of the array, or None.

    Raises
    ------
    InputError
        For anything else; the message says how to convert it.
    """
    path = _named("array", None)
    if not isinstance(array, np.ndarray):
        raise _unknown(array, None)
    planes, sizes, notes = arrays.check_volume(path, array, axis, spacing)
    arrays.refuse_mask(path, planes)
    return InMemory(path, lambda path, _scale: arrays.to_slices(path, planes, sizes, notes))


def stack_source(pictures: Sequence[object]) -> InMemory:
    """Make one source of arrays and Pillow images that are the slices of one study.

    Grey values deeper than 8 bits share one scale, as those of a volume do.

    Parameters
    ----------
    pictures
        Arrays, (height, width) or (height, width, 3), and Pillow images, in the order of the slices.

    Raises
    ------
    InputError
        For anything else; the message says how to convert it.
    ReadError
        If an image cannot be decoded.
    """
    from gliascope.io.objects import pillow_values

    pages, notes = list[Values](), dict[str, None]()
    for number, picture in enumerate(pictures):
        if isinstance(picture, np.ndarray):
            pages.append(arrays.check_picture(_named("array", number), picture))
        else:
            path = _named("image", number)
            with as_read_error(path, "cannot be read"):
                page, new_notes = pillow_values(path, picture)
            pages.append(page)
            notes.update(dict.fromkeys(new_notes))
    path = Path("<list>")
    arrays.refuse_mask(path, pages)
    return InMemory(path, lambda path, _scale: arrays.to_slices(path, pages, None, tuple(notes)))


def is_array_or_image(content: object) -> bool:
    """Whether the content is an array or a Pillow image, which do not say what slices they are."""
    return isinstance(content, np.ndarray) or _is_a(content, "PIL.Image", "Image")


@contextmanager
def as_read_error(path: Path, reason: str) -> Iterator[None]:
    """Turn whatever a library raises on malformed content into a ReadError.

    Parameters
    ----------
    path
        File to name in the error.
    reason
        What the error says, before the library's own message.

    Raises
    ------
    DamagedFileError
        For any other error than ReadError and InputError, which pass unchanged.
    TooLargeError
        If memory runs out.
    """
    try:
        yield
    except (ReadError, InputError):
        raise
    except Exception as error:
        if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
            raise TooLargeError(path, "not enough memory to decode it") from None
        # Malformed content makes libraries raise nearly anything, from struct.error to RecursionError.
        raise DamagedFileError(path, reason, one_line(error)) from None


def one_line(error: Exception) -> str:
    """Write an error as one line of at most 200 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else text[:199] + "…"


def _named(what: str, number: int | None) -> Path:
    return Path(f"<{what}>" if number is None else f"<{what} {number}>")


def _path(content: Any) -> Path:
    if isinstance(content, Path):
        return content
    if not isinstance(content, str | os.PathLike):
        url: Path = content  # as `runtime.paths.to_path` makes it
        return url
    name = os.fspath(content)
    if not isinstance(name, str):
        raise InputError(f"{name!r}: a path of bytes; give os.fsdecode(path)")
    return to_path(name)


def _of_library(content: object, number: int | None) -> InMemory:
    from gliascope.io import objects

    if _is_a(content, "PIL.Image", "Image"):
        return InMemory(_named("image", number), lambda path, _scale: [objects.from_pillow(path, content)])
    if _is_a(content, "pydicom", "Dataset"):
        path = _named("dataset", number)
        return InMemory(
            path, lambda path, scale: objects.from_pydicom(path, content, scale), may_be_in_series=True
        )
    if _is_a(content, "nibabel.spatialimages", "SpatialImage"):
        path = _named("nibabel image", number)
        return InMemory(path, lambda path, _scale: objects.from_nibabel(path, content))
    raise _unknown(content, number)


def _is_a(content: object, module: str, name: str) -> bool:
    """Whether the content is an instance of a library's class, without loading the library."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(content, getattr(loaded, name))


def _unknown(content: object, number: int | None) -> InputError:
    kind = type(content)
    named = kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
    if isinstance(content, bytes | bytearray | memoryview):
        remedy = _BYTES
    elif hasattr(content, "read"):
        remedy = _FILE
    elif kind.__module__.partition(".")[0] == "torch":
        remedy = "give x.detach().cpu().numpy(), with the channels last"
    elif isinstance(content, list | tuple):
        remedy = "a list holds pictures, not numbers or lists: give numpy.array(x)"
    elif hasattr(content, "__array__"):
        remedy = "give numpy.asarray(x)"
    else:
        remedy = "give a list: list(x)" if hasattr(content, "__iter__") else "convert it to one of these"
    where = "expected" if number is None else f"picture {number} of the list: expected"
    return InputError(
        f"{where} a path, a NumPy array, a Pillow image, a pydicom Dataset, a nibabel image or a Slice, but "
        f"got {named}; {remedy}"
    )
