"""Uploaded files: a multipart body streamed to disk, within limits."""

import asyncio
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from gliascope.runtime.unzip import is_zip
from gliascope.server.api_error import UploadError, too_large
from gliascope.server.multipart import FilePartWriter
from gliascope.server.unzip import unzip

FOLDER_PREFIX = "gliascope-upload-"
_BUFFER = 2**20
_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, slots=True)
class UploadLimits:
    """Limits of the files of one request.

    Attributes
    ----------
    total_bytes
        Bytes of the body.
    file_bytes
        Bytes of each file, sent or unpacked.
    files
        Number of files, sent and unpacked together.
    unpacked_bytes
        Bytes of all unpacked files together.
    ratio
        Unpacked bytes of an archive over its packed bytes.
    seconds
        Time in which the body must arrive.
    """

    total_bytes: int
    file_bytes: int
    files: int
    unpacked_bytes: int
    ratio: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded file.

    Attributes
    ----------
    path
        The file on the server's disk, under a name that the server chose.
    name
        The client's name of the file, printable. It is never used as a path on the server.
    """

    path: Path
    name: str


@contextmanager
def upload_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a private temporary folder (mode 0700), which is removed when the `with` block ends.

    A lock on the folder tells `remove_stale_folders` that its server is alive.

    Parameters
    ----------
    parent
        Folder to make it in; None for the system's temporary folder.

    Raises
    ------
    UploadError
        507 if the disk is full.
    """
    with _full_disk_as_error():
        folder = Path(tempfile.mkdtemp(prefix=FOLDER_PREFIX, dir=parent))  # mode 0700
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder
    finally:
        _remove(folder)
        os.close(handle)


def remove_stale_folders(parent: Path | None = None) -> int:
    """Remove upload folders of servers that were killed.

    Parameters
    ----------
    parent
        Folder to search; None for the system's temporary folder.

    Returns
    -------
    int
        Number of folders removed.
    """
    removed = 0
    for folder in Path(parent or tempfile.gettempdir()).glob(FOLDER_PREFIX + "*"):
        try:
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _remove(folder)
            removed += not folder.exists()
        except BlockingIOError:
            pass
        finally:
            os.close(handle)
    return removed


async def receive_files(request: Request, folder: Path, limits: UploadLimits) -> list[Upload]:
    """Write the files of a request into a folder, and unpack .zip files, which are recognised by content.

    Parameters
    ----------
    request
        The request; its body must not have been read.
    folder
        Folder of the files.
    limits
        Limits of the request.

    Returns
    -------
    list of Upload
        In the order sent.

    Raises
    ------
    UploadError
        If the body is not multipart, holds no file, is over a limit, arrives too slowly or breaks off, or if
        the disk is full.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limits.total_bytes:
        raise too_large(f"a request may hold {limits.total_bytes:,} bytes; send fewer files at a time")
    writer = FilePartWriter(folder, limits.files, limits.file_bytes)
    try:
        parser = MultipartParser(_boundary(request), writer.callbacks())
        with _full_disk_as_error():
            with closing(writer):
                async with asyncio.timeout(limits.seconds):
                    await _receive(request, parser, writer, limits.total_bytes)
            sent = [Upload(path, name) for path, name in writer.received]
            return await run_in_threadpool(_unpack, sent, folder, limits)
    except FormParserError:
        raise UploadError(400, "bad_multipart", "the multipart body is malformed; send it again") from None
    except ClientDisconnect:
        raise UploadError(400, "client_gone", "the connection closed before the end; send it again") from None
    except TimeoutError:
        message = f"the files did not arrive within {limits.seconds:g} s; send fewer at a time"
        raise UploadError(408, "upload_too_slow", message) from None


async def _receive(
    request: Request, parser: MultipartParser, writer: FilePartWriter, total_bytes: int
) -> None:
    received = 0
    async for chunk in request.stream():
        received += len(chunk)
        if received > total_bytes:
            raise too_large(f"a request may hold {total_bytes:,} bytes; send fewer files at a time")
        parser.write(chunk)
        if writer.buffered_bytes > _BUFFER:
            await run_in_threadpool(writer.flush)
    await run_in_threadpool(writer.flush)
    if not writer.complete:
        raise UploadError(400, "bad_multipart", "the multipart body ends before its last boundary")
    if not writer.received:
        raise UploadError(422, "no_files", "send at least one file in a field named `files`")


def _unpack(sent: list[Upload], folder: Path, limits: UploadLimits) -> list[Upload]:
    """Replace archives by their files."""
    uploads: list[Upload] = []
    budget = limits.unpacked_bytes
    archives = [is_zip(upload.path) for upload in sent]
    plain = len(sent) - sum(archives)
    for number, (upload, archive) in enumerate(zip(sent, archives, strict=True)):
        if not archive:
            uploads.append(upload)
            continue
        target = folder / f"zip-{number}"
        target.mkdir(mode=0o700)
        members = unzip(
            upload.path,
            target,
            files=limits.files - plain,
            file_bytes=limits.file_bytes,
            total_bytes=budget,
            ratio=limits.ratio,
        )
        upload.path.unlink()
        plain += len(members)
        budget -= sum(path.stat().st_size for path, _ in members)
        uploads += [Upload(path, f"{upload.name}/{name}") for path, name in members]
    return uploads


def _boundary(request: Request) -> bytes:
    """Boundary of the multipart body, from the Content-Type header."""
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data":
        message = "send multipart/form-data with files in the field `files`"
        raise UploadError(415, "unsupported_media_type", message)
    if not options.get(b"boundary"):
        raise UploadError(400, "bad_multipart", "the Content-Type header lacks the boundary")
    return options[b"boundary"]


@contextmanager
def _full_disk_as_error() -> Iterator[None]:
    """Turn the OSError of a full disk into UploadError (507): the client may try again later."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        message = "the server has no space left for uploads; try again later"
        raise UploadError(507, "disk_full", message, {"Retry-After": "30"}) from None


def _remove(folder: Path) -> None:
    # A thread of a cancelled request may still write a file, and then removing the folder fails.
    for _ in range(5):
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            return
