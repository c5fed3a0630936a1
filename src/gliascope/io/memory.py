"""What `read` takes instead of a file: arrays, Pillow images, pydicom data sets, nibabel images and slices.

Each is read as a file of the same content is, by the readers of files. What could be taken for more than one
thing is refused with InputError, whose message says which call to use instead.
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
    """A picture or a volume in memory, which `read` takes in place of a file.

    Attributes
    ----------
    path : Path
        What stands for the file's path in findings and errors, such as `<array>`.
    decode : callable
        Takes that path and the grey scale of the series (or None), and returns the slices.
    shares : bool
        Whether its grey scale may be that of a series of several files.
    """

    path: Path
    decode: Callable[[Path, SeriesScale | None], list[Slice]]
    may_be_in_series: bool = False

    def __str__(self) -> str:
        return str(self.path)

    def read(self, scale: SeriesScale | None = None) -> list[Slice]:
        """Slices, on the grey scale of the series where one is given. Raises ReadError and InputError."""
        with as_read_error(self.path, "cannot be read"):
            return self.decode(self.path, scale)


Source = Path | InMemory
"""What `read` takes."""


def to_source(content: object, number: int | None = None) -> Source:
    """Make one picture or volume, whatever holds it, readable by `read`.

    Parameters
    ----------
    content : object
        A path or URL; a Slice; an array (height, width) or (height, width, 3), RGB; a Pillow image; a pydicom
        Dataset; a nibabel NIfTI image.
    number : int, optional
        Its place in the user's list, from 0, to name it by.

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
    """Make an array of slices readable by `read`. See `Model.predict_study` for axis and spacing."""
    path = _named("array", None)
    if not isinstance(array, np.ndarray):
        raise _unknown(array, None)
    planes, sizes, notes = arrays.check_volume(path, array, axis, spacing)
    arrays.refuse_mask(path, planes)
    return InMemory(path, lambda path, _scale: arrays.to_slices(path, planes, sizes, notes))


def stack_source(pictures: Sequence[object]) -> InMemory:
    """Make arrays and Pillow images that are the slices of one study, in order, readable as one volume.

    Deep grey values share one scale, as those of a volume do. Raises InputError and ReadError.
    """
    from gliascope.io.objects import pillow_values

    pages, notes = list[Values](), dict[str, None]()
    for number, picture in enumerate(pictures):
        if isinstance(picture, np.ndarray):
            pages.append(arrays.check_picture(_named("array", number), picture))
        else:
            path = _named("image", number)
            with as_read_error(path, "cannot be read"):
                page, told = pillow_values(path, picture)
            pages.append(page)
            notes.update(dict.fromkeys(told))
    path = Path("<list>")
    arrays.refuse_mask(path, pages)
    return InMemory(path, lambda path, _scale: arrays.to_slices(path, pages, None, tuple(notes)))


def is_array_or_image(content: object) -> bool:
    """Whether it is an array or a Pillow image: pixels, and nothing that says what they are of."""
    return isinstance(content, np.ndarray) or _is_a(content, "PIL.Image", "Image")


@contextmanager
def as_read_error(path: Path, reason: str) -> Iterator[None]:
    """Turn whatever libraries raise on malformed content into DamagedFileError, with this reason.

    Raises TooLargeError where memory runs out; our own errors pass.
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
    """An error of a library as one line of at most 200 letters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= 200 else text[:199] + "…"


def _named(what: str, number: int | None) -> Path:
    return Path(f"<{what}>" if number is None else f"<{what} {number}>")


def _path(content: Any) -> Path:
    if isinstance(content, Path):
        return content
    if not isinstance(content, str | os.PathLike):
        url: Path = content  # as `places.place` makes it
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
    """Whether it is an instance of a class of a library, which is loaded already if it is."""
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
