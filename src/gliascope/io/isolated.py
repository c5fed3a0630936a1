"""Decode DICOM frames in a helper process, since the decoder may crash on damaged frames.

GDCM is the only freely licensed decoder of JPEG Lossless and JPEG-LS that pydicom supports. Of randomly
damaged files, a few in a thousand make GDCM end its process (an uncaught C++ exception, or a write out of
bounds). One such file must not end a run over thousands of files, nor a server.
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
"""Most seconds that one file may take to decode."""

_thread = threading.local()


def pixel_array(path: Path) -> Values:
    """Return the stored values of a DICOM file, as `pydicom.pixels.pixel_array` returns them.

    Each thread has one helper process, which starts in about half a second when the thread first calls this.

    Raises
    ------
    DamagedFileError
        If the frames cannot be decoded, or not within TIMEOUT_SECONDS.
    """
    helper: _Helper | None = getattr(_thread, "helper", None)
    # A forked process must not use its parent's helper.
    if helper is None or helper.owner != os.getpid() or helper.process.poll() is not None:
        helper = _thread.helper = _Helper()
    try:
        values = helper.decode(path)
    except (OSError, ValueError):
        helper.close()
        _thread.helper = None
        raise DamagedFileError(
            path, "DICOM truncated or damaged", "the decoder crashed or took too long"
        ) from None
    if values is None:
        raise DamagedFileError(path, "DICOM truncated or damaged", "the decoder refused it")
    return values


class _Helper:
    """A helper process, reached by two pipes; it ends when they are closed."""

    def __init__(self) -> None:
        # Standard error is discarded: what decoders print there may name the patient.
        command = [sys.executable, "-P", "-m", __name__]
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=null)  # noqa: S603
        self.owner = os.getpid()

    def decode(self, path: Path) -> Values | None:
        """Return the values of a file; None if it cannot be decoded.

        Raises OSError or ValueError if the process ended, also because the time was up.
        """
        requests, responses = self.process.stdin, self.process.stdout
        assert requests is not None and responses is not None  # noqa: S101
        alarm = threading.Timer(TIMEOUT_SECONDS, self.process.kill)
        alarm.start()
        try:
            requests.write(json.dumps(str(path.absolute())).encode() + b"\n")
            requests.flush()
            response: Any = json.loads(responses.readline())
            if response is None:
                return None
            dtype, shape = np.dtype(response[0]), tuple(response[1])
            data = responses.read(dtype.itemsize * int(np.prod(shape)))
            return np.frombuffer(data, dtype).reshape(shape)
        finally:
            alarm.cancel()

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def __del__(self) -> None:
        # The thread has ended. A forked process holds only copies of the pipes, and must leave them open.
        if getattr(self, "owner", None) == os.getpid():
            self.close()


def _serve() -> None:
    """Decode each path read from standard input; write a line (dtype and shape, or null), then the values."""
    from pydicom.pixels.utils import pixel_array as decode

    from gliascope.io.dicom_file import load

    # Decoders may print to standard output: let that go to standard error, and keep the pipe for responses.
    responses = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    for line in sys.stdin.buffer:
        try:
            path = to_path(json.loads(line))
            with path.open("rb") as file:
                values = decode(load(path, file), allow_excess_frames=False)
        except Exception:
            responses.write(b"null\n")
        else:
            responses.write(json.dumps([values.dtype.str, values.shape]).encode() + b"\n")
            responses.write(values.tobytes())
        responses.flush()


if __name__ == "__main__":
    _serve()
