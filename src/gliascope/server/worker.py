"""Code of the decoding workers: a file becomes arrays on disk, under limits that the process cannot lift."""

import errno
import math
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import ReadError
from gliascope.inference.predict import PreparedSlice, prepare
from gliascope.io import read
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesMember, series_member
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server.multipart import create_private_file

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class SliceMetadata:
    """A `Slice` without its pixels, and without patient, label and mask, which no finding shows.

    Attributes
    ----------
    shape
        Shape of the pixels.
    """

    shape: tuple[int, ...]
    index: int
    format: str
    modality: str | None
    spacing: tuple[float, float] | None
    study: str | None
    series: str | None
    plane: str | None
    notes: tuple[str, ...]
    kind: str | None


@dataclass(frozen=True, slots=True)
class DecodeFailure:
    """Why a file could not be decoded.

    Attributes
    ----------
    reason
        Short phrase.
    detail
        More about it, without any path of the server.
    disk_full
        Whether the server's disk was full.
    """

    reason: str
    detail: str = ""
    disk_full: bool = False


TaskResult = list[SliceMetadata] | SeriesMember | DecodeFailure | None


def run_task(path: Path, task: Callable[[Path, int], TaskResult], attempt: int, alarm: float) -> TaskResult:
    """Run a task on a file.

    Parameters
    ----------
    path
        The file.
    task
        The task; called with the path and the number of the attempt.
    attempt
        Number of the attempt, different for each call of any task.
    alarm
        Seconds after which the process ends itself. It ends a worker whose server was killed.

    Returns
    -------
    TaskResult
        The task's result, or a `DecodeFailure` if it raised an exception.
    """
    signal.setitimer(signal.ITIMER_REAL, alarm)
    try:
        return task(path, attempt)
    except Exception as error:
        return _failure(path, error)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def decode(
    path: Path, attempt: int, preprocessing: Preprocessing, scale: SeriesScale | None
) -> list[SliceMetadata]:
    """Decode and preprocess a file, and write the arrays beside it, where `load_slices` finds them.

    Parameters
    ----------
    path
        The file.
    attempt
        Number of the attempt, which is part of the name of the written file.
    preprocessing
        Preprocessing of the model.
    scale
        Grey scale of the file's series; None if the file has its own.
    """
    prepared = prepare(path, preprocessing, scale)
    arrays = chain((one.input for one in prepared), (one.slice.pixels for one in prepared))
    _write(_arrays_path(path, attempt), arrays)
    return [_metadata(one.slice) for one in prepared]


def read_series_member(path: Path, attempt: int, folders: tuple[str, ...]) -> SeriesMember | None:
    """Read what a file contributes to the grey scale of its series.

    Parameters
    ----------
    path
        The file.
    attempt
        Not used; every task takes it.
    folders
        Folders of the file by the client's name of it.
    """
    return series_member(str(path), read(path), folders)


def _failure(path: Path, error: Exception) -> DecodeFailure:
    """Describe an exception without the server's paths and without the file's content."""
    if isinstance(error, ReadError):
        # A library's message may quote the path.
        quoted = str(path.parent) in error.detail
        return DecodeFailure(error.reason, "" if quoted else error.detail)
    if isinstance(error, MemoryError):
        return DecodeFailure("not enough memory to decode it")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return DecodeFailure("too large when decoded")
    full = isinstance(error, OSError) and error.errno in _FULL
    return DecodeFailure("decoding failed", type(error).__name__, disk_full=full)


def load_slices(
    path: Path, preprocessing: Preprocessing, attempt: int, metadata: list[SliceMetadata]
) -> list[PreparedSlice]:
    """Map the arrays that `decode` wrote, read-only.

    Parameters
    ----------
    path
        The file that was decoded.
    preprocessing, attempt
        As they were given to `decode`.
    metadata
        Result of `decode`.
    """
    # One mapped file for all slices, since a process may have a limited number of open files.
    content: NDArray[np.uint8] = np.memmap(_arrays_path(path, attempt), np.uint8, "r")
    start = len(metadata) * math.prod(preprocessing.shape)
    inputs = content[:start].reshape(len(metadata), *preprocessing.shape)
    prepared = []
    for number, one in enumerate(metadata):
        size = math.prod(one.shape)
        item = Slice(
            content[start : start + size].reshape(one.shape),
            path,
            one.index,
            one.format,
            modality=one.modality,
            spacing=one.spacing,
            study=one.study,
            series=one.series,
            plane=one.plane,
            notes=one.notes,
            kind=one.kind,
        )
        prepared.append(PreparedSlice(item, inputs[number]))
        start += size
    return prepared


def _metadata(item: Slice) -> SliceMetadata:
    return SliceMetadata(
        shape=item.pixels.shape,
        index=item.index,
        format=item.format,
        modality=item.modality,
        spacing=item.spacing,
        study=item.study,
        series=item.series,
        plane=item.plane,
        notes=item.notes,
        kind=item.kind,
    )


def _write(path: Path, arrays: Iterable[NDArray[np.uint8]]) -> None:
    # Not through a mapping: on a full disk, writing to one kills the process.
    with create_private_file(path) as file:
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


def _arrays_path(path: Path, attempt: int) -> Path:
    """Path of the arrays of a file. It differs for each attempt: an older file may still be mapped."""
    return path.with_name(f"{path.name}.{attempt}.slices")
