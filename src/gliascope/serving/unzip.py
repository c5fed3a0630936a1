"""Archives of a series, unpacked within limits that their own numbers cannot talk us out of."""

import errno
import stat
import zipfile
from pathlib import Path

from gliascope.files import ZIP_DAMAGES
from gliascope.serving.parts import open_private, printable_name
from gliascope.serving.refusal import UploadError, too_large

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END = b"PK\x05\x06"
_END_SIZE = 22
_LOCATOR_64 = b"PK\x06\x07"
_LOCATOR_SIZE = 20
_ENCRYPTED = 0x1
_SLACK = 2**20
_CHUNK = 2**18
# Bytes of the central directory for each file that is allowed: 46, its name, and what tools add.
_ENTRY = 1024


def is_zip(path: Path) -> bool:
    """Whether the content is a .zip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def unzip(
    path: Path, folder: Path, *, files: int, file_bytes: int, total_bytes: int, ratio: float
) -> list[tuple[Path, str]]:
    """Unpack into numbered files in `folder`; returns (path, the archive's own name) in its order.

    Folders, hidden files and macOS leftovers are passed over, as `predict` does. An archive in the archive
    stays one file, which `read` then does not recognise. At most `files` files of `file_bytes` each,
    `total_bytes` together, and `ratio` times the archive's own size (and one MiB); bytes are counted as they
    come, whatever sizes are declared.

    Raises UploadError for what is empty, damaged, encrypted, a link, or over a limit; OSError.
    """
    try:
        _check_directory(path, files)
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, files)
            budget = min(total_bytes, int(ratio * path.stat().st_size) + _SLACK)
            declared = sum(member.file_size for member in members)
            if declared > budget or any(member.file_size > file_bytes for member in members):
                raise _bomb()
            found = []
            for number, member in enumerate(members):
                place = folder / f"file-{number}"
                budget -= _extract(archive, member, place, min(file_bytes, budget))
                found.append((place, printable_name(member.filename)))
            return found
    except (*ZIP_DAMAGES, OSError) as error:
        # An offset before the file's start is an OSError; so is a full disk, which is the caller's.
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise
        raise UploadError(422, "bad_zip", "the .zip is damaged; pack it again") from None


def _check_directory(path: Path, files: int) -> None:
    """Refuse a central directory that would be large in memory, before `zipfile` reads it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_SIZE - _LOCATOR_SIZE - 2**16))
        tail = file.read()
    # Found as `zipfile` finds it.
    place = len(tail) - _END_SIZE
    if not (tail[place : place + 4] == _END and tail[-2:] == b"\0\0"):
        place = tail.rfind(_END)
    if place < 0:
        raise zipfile.BadZipFile
    if tail[max(0, place - _LOCATOR_SIZE) : place].startswith(_LOCATOR_64):
        raise UploadError(422, "bad_zip", "zip64 is not supported; send the files in several archives")
    if int.from_bytes(tail[place + 12 : place + 16], "little") > _ENTRY * (files + 1):
        raise too_large(f"an archive may hold {files:,} files; send fewer at a time")


def _members(archive: zipfile.ZipFile, files: int) -> list[zipfile.ZipInfo]:
    members = [
        member for member in archive.infolist() if not _name(member).endswith("/") and not _hidden(member)
    ]
    if not members:
        message = "the .zip holds no file; hidden files and folders are passed over"
        raise UploadError(422, "empty_zip", message)
    if len(members) > files:
        raise too_large(f"a request may hold {files:,} files; send fewer at a time")
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise UploadError(422, "encrypted_zip", "the .zip is encrypted; send it without a password")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UploadError(422, "linked_zip", "the .zip holds links; pack the files themselves")
        if member.compress_type not in _METHODS:
            message = "the .zip is packed by a rare method; pack it again with plain deflate"
            raise UploadError(422, "bad_zip", message)
    return members


def _name(member: zipfile.ZipInfo) -> str:
    """As archives part folders; some tools on Windows do by backslashes."""
    return member.filename.replace("\\", "/")


def _hidden(member: zipfile.ZipInfo) -> bool:
    parts = [part for part in _name(member).split("/") if part not in (".", "..")]
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, place: Path, most: int) -> int:
    """Write one member, of at most `most` bytes; returns how many it has."""
    size = 0
    with archive.open(member) as packed, open_private(place) as file:
        while chunk := packed.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise _bomb()
            file.write(chunk)
    return size


def _bomb() -> UploadError:
    return too_large("the .zip unpacks to more than is allowed; send fewer files at a time")
