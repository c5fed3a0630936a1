"""DICOM frames decoded in another process, which may die of them.

GDCM is the only freely licensed decoder of JPEG Lossless and JPEG-LS that pydicom knows, and on damaged
frames it now and then ends the process it runs in (a few in a thousand randomly damaged files: an uncaught
C++ exception, or a write out of bounds). One such file must not stop a job of thousands, nor a server.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np

from gliascope.errors import DamagedFileError
from gliascope.io.intensity import Values
from gliascope.runtime.paths import to_path

TIMEOUT_SECONDS = 120.0
"""Seconds a file may take to decode."""

_thread = threading.local()


def pixel_array(path: Path) -> Values:
    """Stored values of the DICOM file, as `pydicom.pixels.pixel_array` returns them.

    Each thread keeps one helper process, started at its first such file; that takes about half a second.
    Raises DamagedFileError if the frames cannot be decoded, or not within TIMEOUT_SECONDS.
    """
    helper: _Helper | None = getattr(_thread, "helper", None)
    # A forked process must not talk to its parent's helper.
    if helper is None or helper.owner != os.getpid() or helper.process.poll() is not None:
        helper = _thread.helper = _Helper()
    try:
        values = helper.ask(path)
    except (OSError, ValueError):
        helper.close()
        _thread.helper = None
        raise DamagedFileError(path, "DICOM truncated or damaged", "the decoder failed on it") from None
    if values is None:
        raise DamagedFileError(path, "DICOM truncated or damaged", "the decoder refused it")
    return values


class _Helper:
    """The process at the other end of two pipes; it ends when they are closed."""

    def __init__(self) -> None:
        # What decoders print is noise at best and names the patient at worst.
        command = [sys.executable, "-P", "-m", __name__]
        pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=nowhere)  # noqa: S603
        self.owner = os.getpid()

    def ask(self, path: Path) -> Values | None:
        """Send a path, return the values or None. Raises OSError or ValueError if the process ended."""
        asked, answer = self.process.stdin, self.process.stdout
        assert asked is not None and answer is not None  # noqa: S101
        alarm = threading.Timer(TIMEOUT_SECONDS, self.process.kill)
        alarm.start()
        try:
            asked.write(json.dumps(str(path.absolute())).encode() + b"\n")
            asked.flush()
            reply: Any = json.loads(answer.readline())
            if reply is None:
                return None
            dtype, shape = np.dtype(reply[0]), tuple(reply[1])
            data = answer.read(dtype.itemsize * int(np.prod(shape)))
            return np.frombuffer(data, dtype).reshape(shape)
        finally:
            alarm.cancel()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __del__(self) -> None:
        # The thread is over. In a forked process these are but copies of the parent's ends.
        if getattr(self, "owner", None) == os.getpid():
            self.close()


def _serve() -> None:
    """Answer each path on standard input by a line (dtype and shape, or null) and the values' bytes."""
    from pydicom.pixels.utils import pixel_array as decode

    from gliascope.io.dicom_file import load

    # Decoders print to standard output too, which is the pipe.
    answer = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        try:
            path = to_path(json.loads(line))
            with path.open("rb") as file:
                values = decode(load(path, file), allow_excess_frames=False)
        except Exception:
            answer.write(b"null\n")
        else:
            answer.write(json.dumps([values.dtype.str, values.shape]).encode() + b"\n")
            answer.write(values.tobytes())
        answer.flush()


if __name__ == "__main__":
    _serve()
