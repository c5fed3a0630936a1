"""JPEG Lossless and JPEG-LS, which GDCM decodes in a process of its own."""

import signal
import threading

import numpy as np
import pytest

from gliascope.errors import DamagedFileError
from gliascope.io import isolated, read

STORED = (np.arange(32 * 24) * 5 % 4096).astype(np.uint16).reshape(32, 24)
WINDOW = {"WindowCenter": 2000, "WindowWidth": 4000}
LOSSLESS_FRAME = bytes.fromhex("ffd8ffc3000b10")  # SOI, SOF3, its length, 16 bits


def compressed(make, syntax):
    return make.gdcm(STORED, syntax, BitsStored=12, HighBit=11, **WINDOW)


@pytest.mark.parametrize(
    "syntax", ["JPEGLosslessProcess14_1", "JPEGLosslessProcess14", "JPEGLSLossless", "JPEG2000Lossless"]
)
def test_lossless_syntaxes_keep_every_value(make, syntax):
    (native,) = read(make.dicom(STORED, BitsStored=12, HighBit=11, **WINDOW))
    (slice_,) = read(compressed(make, syntax))
    assert np.array_equal(slice_.pixels, native.pixels)


def test_by_url(make, s3, monkeypatch):
    monkeypatch.setattr(isolated, "_thread", threading.local())  # a helper that knows this S3
    path = compressed(make, "JPEGLSLossless")
    assert np.array_equal(read(s3(path))[0].pixels, read(path)[0].pixels)


def test_the_decoder_may_die_and_the_job_goes_on(make):
    """17 bits a sample: GDCM 3.2 ends its process with a segmentation fault."""
    path = compressed(make, "JPEGLosslessProcess14_1")
    content = path.read_bytes()
    assert LOSSLESS_FRAME in content
    bad = make.bytes(content.replace(LOSSLESS_FRAME, LOSSLESS_FRAME[:-1] + b"\x11"))
    for _ in range(2):
        with pytest.raises(DamagedFileError, match="decoder"):
            read(bad)
        assert len(read(path)) == 1


def test_the_decoder_may_hang_and_the_job_goes_on(make, monkeypatch):
    path = compressed(make, "JPEGLSLossless")
    read(path)
    monkeypatch.setattr(isolated, "TIMEOUT_SECONDS", 0.2)
    isolated._thread.helper.process.send_signal(signal.SIGSTOP)
    with pytest.raises(DamagedFileError, match="decoder crashed or took too long"):
        read(path)
    monkeypatch.undo()
    assert len(read(path)) == 1


def test_a_helper_that_ended_meanwhile_is_replaced(make):
    path = compressed(make, "JPEGLSLossless")
    read(path)
    isolated._thread.helper.process.kill()
    isolated._thread.helper.process.wait()
    assert len(read(path)) == 1


def test_threads_have_helpers_of_their_own_which_end_with_them(make):
    path = compressed(make, "JPEGLSLossless")
    read(path)
    mine = isolated._thread.helper.process
    seen = []

    def work():
        read(path)
        seen.append(isolated._thread.helper.process)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0].pid != mine.pid
    assert seen[0].wait(timeout=10) is not None
    assert mine.poll() is None
