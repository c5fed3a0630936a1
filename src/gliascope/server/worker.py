"""What runs in a decoding worker: one file to arrays on disk, under limits the process cannot lift."""

import errno
import math
import os
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.errors import ReadError
from gliascope.inference.predict import PreparedSlice, prepare
from gliascope.io import isolated, read
from gliascope.io import limits as read_limits
from gliascope.io.scales import SeriesScale
from gliascope.io.series import SeriesMember, series_member
from gliascope.io.slices import Slice
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.server.multipart import create_private_file
from gliascope.server.settings import Settings

_FULL = (errno.ENOSPC, errno.EDQUOT)
_HELPER_SHARE = 0.8


@dataclass(frozen=True, slots=True)
class SliceMetadata:
    """A Slice without its pixels, nor what a Finding does not show: patient, label, mask."""

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
    """Why there are no slices, without the server's paths."""

    reason: str
    detail: str = ""
    disk_full: bool = False


TaskResult = list[SliceMetadata] | SeriesMember | DecodeFailure | None


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What decoding may take.

    workers: processes. seconds: of one file. memory_bytes: of address space, of each worker and of the helper
    it may start; half a GiB is libraries. file_bytes: of what is written of one file. slices: of one file.
    """

    workers: int
    seconds: float
    memory_bytes: int
    file_bytes: int
    slices: int
    tasks_per_worker: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "DecodeLimits":
        """Those of the settings."""
        return cls(
            workers=settings.workers,
            seconds=settings.decode_seconds,
            memory_bytes=settings.decode_mb * 2**20,
            file_bytes=2 * read_limits.MAX_BYTES,
            slices=settings.frames,
            tasks_per_worker=settings.decode_recycle,
        )


def limit_process(limits: DecodeLimits) -> None:
    """Limit this process, and the helpers it starts, for good; called once in each worker.

    RLIMIT_CPU is what ends a helper that hangs after its worker was killed.
    """
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        # What decoders print is noise at best and names the patient at worst.
        os.dup2(nowhere, stream)
    most = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CPU: int(limits.tasks_per_worker * limits.seconds) + 1,
    }
    for kind, value in most.items():
        _, hard = resource.getrlimit(kind)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    # So that `read` tells from the header what the server does not take.
    read_limits.MAX_SLICES = min(read_limits.MAX_SLICES, limits.slices)
    # A helper that hangs is killed by its worker, which then lives on.
    isolated.TIMEOUT = _HELPER_SHARE * limits.seconds
    signal.signal(signal.SIGALRM, signal.SIG_DFL)


def run_task(path: Path, task: Callable[[Path, int], TaskResult], attempt: int, alarm: float) -> TaskResult:
    """Do a task on a file, as attempt number so many.

    The alarm, in seconds, ends a worker whose server is no more there to do it.
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
    """Prepare a file; the arrays are left beside it for `restore`, under the number of the attempt."""
    prepared = prepare(path, preprocessing, scale)
    arrays = chain((one.input for one in prepared), (one.slice.pixels for one in prepared))
    _write(_beside(path, attempt), arrays)
    return [_facts(one.slice) for one in prepared]


def read_series_member(path: Path, attempt: int, folders: tuple[str, ...]) -> SeriesMember | None:
    """What the file, which the client has in `folders`, says of the scale of its series."""
    return series_member(str(path), read(path), folders)


def _failure(path: Path, error: Exception) -> DecodeFailure:
    if isinstance(error, ReadError):
        # A library may quote where the file lies.
        quoted = str(path.parent) in error.detail
        return DecodeFailure(error.reason, "" if quoted else error.detail)
    if isinstance(error, MemoryError):
        return DecodeFailure("not enough memory to decode it")
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return DecodeFailure("too large when decoded")
    full = isinstance(error, OSError) and error.errno in _FULL
    return DecodeFailure("decoding failed", type(error).__name__, disk_full=full)


def load_slices(
    path: Path, preprocessing: Preprocessing, attempt: int, facts: list[SliceMetadata]
) -> list[PreparedSlice]:
    """What `work` left, mapped and read-only; one open file, for a process may have but so many."""
    content: NDArray[np.uint8] = np.memmap(_beside(path, attempt), np.uint8, "r")
    start = len(facts) * math.prod(preprocessing.shape)
    ready = content[:start].reshape(len(facts), *preprocessing.shape)
    prepared = []
    for number, one in enumerate(facts):
        size = math.prod(one.shape)
        item = Slice(
            content[start : start + size].reshape(one.shape),
            path,
            one.index,
            one.format,
            one.modality,
            one.spacing,
            study=one.study,
            series=one.series,
            plane=one.plane,
            notes=one.notes,
            kind=one.kind,
        )
        prepared.append(PreparedSlice(item, ready[number]))
        start += size
    return prepared


def _facts(item: Slice) -> SliceMetadata:
    return SliceMetadata(
        item.pixels.shape,
        item.index,
        item.format,
        item.modality,
        item.spacing,
        item.study,
        item.series,
        item.plane,
        item.notes,
        item.kind,
    )


def _write(path: Path, arrays: Iterable[NDArray[np.uint8]]) -> None:
    # Not through a mapping: on a full disk that kills the process. And never over a file that may be mapped.
    with create_private_file(path) as file:
        for array in arrays:
            file.write(np.ascontiguousarray(array).data)


def _beside(path: Path, attempt: int) -> Path:
    return path.with_name(f"{path.name}.{attempt}.slices")
