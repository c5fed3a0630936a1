"""Limits of the decoding workers, and their application to a process."""

import os
import resource
import signal
from dataclasses import dataclass

from gliascope.io import isolated
from gliascope.io import limits as read_limits
from gliascope.server.settings import Settings

_HELPER_SHARE = 0.8
"""Time limit of a worker's helper process, as a share of the worker's own."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """Limits of decoding.

    Attributes
    ----------
    workers
        Number of processes.
    seconds
        Time for one file.
    memory_bytes
        Address space of each worker, and of the helper process that it may start. Libraries take half a GiB.
    file_bytes
        Largest file that a worker may write.
    slices
        Most slices in one file.
    tasks_per_worker
        Files after which a worker is replaced.
    """

    workers: int
    seconds: float
    memory_bytes: int
    file_bytes: int
    slices: int
    tasks_per_worker: int

    @classmethod
    def from_settings(cls, settings: Settings) -> "DecodeLimits":
        """Take the limits from the server's settings."""
        return cls(
            workers=settings.workers,
            seconds=settings.decode_seconds,
            memory_bytes=settings.decode_mb * 2**20,
            file_bytes=2 * read_limits.MAX_BYTES,
            slices=settings.frames,
            tasks_per_worker=settings.decode_recycle,
        )


def limit_process(limits: DecodeLimits) -> None:
    """Limit this process and its helper processes for good; called once at the start of each worker.

    The limit of CPU time ends a helper that hangs after its worker was killed.
    """
    devnull = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        # The output of decoders is discarded, since it may name the patient.
        os.dup2(devnull, stream)
    values = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_AS: limits.memory_bytes,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_CPU: int(limits.tasks_per_worker * limits.seconds) + 1,
    }
    for kind, value in values.items():
        _, hard = resource.getrlimit(kind)
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (allowed, allowed))
    # So that `read` rejects a file with too many slices by its header.
    read_limits.MAX_SLICES = min(read_limits.MAX_SLICES, limits.slices)
    # Shorter than the worker's own time limit: a worker kills a helper that hangs, and goes on.
    isolated.TIMEOUT_SECONDS = _HELPER_SHARE * limits.seconds
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
