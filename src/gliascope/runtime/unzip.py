"""Unpack .zip archives from untrusted sources within limits that the archive cannot evade."""

import errno
import os
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, Literal

from gliascope.runtime.files import ZIP_ERRORS

Reason = Literal[
    "damaged", "empty", "encrypted", "link", "method", "outside", "twice", "too many", "too large"
]

_SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_END, _LOCATOR_64, _END_64 = b"PK\x05\x06", b"PK\x06\x07", b"PK\x06\x06"
_END_SIZE, _LOCATOR_64_SIZE, _END_64_SIZE = 22, 20, 56
_COMMENT_SIZE = 2**16
_ENCRYPTED = 0x1
_CHUNK = 2**18
# Bytes of the central directory allowed per file: 46, the name, and what tools add.
_ENTRY = 1024
# Names that no file can have, or that a file and a folder of the archive share.
_BAD_NAMES = (errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)


@dataclass(frozen=True, slots=True)
class ZipLimits:
    """The most that an archive may unpack to.

    Parameters
    ----------
    files
        Number of files.
    file_bytes, total_bytes
        Bytes of one file, and of all files together.
    ratio, slack
        All files together may have `ratio` times the archive's own bytes, and `slack` bytes more.
    """

    files: int
    file_bytes: int
    total_bytes: int
    ratio: float
    slack: int = 0


class ZipRefusedError(Exception):
    """An archive that is not unpacked, or not to its end. Callers turn it into an error of their own.

    Parameters
    ----------
    reason
        Why, as a word that callers can look up.
    detail
        The member's name, or what `zipfile` says of the damage.
    declared
        For "too large": the bytes that the archive says it unpacks to.
    """

    def __init__(self, reason: Reason, detail: str = "", declared: int = 0) -> None:
        self.reason: Reason = reason
        self.detail, self.declared = detail, declared
        super().__init__(f"{reason}: {detail}")


def is_zip(path: Path) -> bool:
    """Whether the content is a .zip, by its first bytes."""
    with path.open("rb") as file:
        return file.read(4) in _SIGNATURES


def unzip(path: Path, folder: Path, limits: ZipLimits, *, keep_names: bool) -> list[tuple[Path, str]]:
    """Unpack an archive into `folder`. Hidden files and macOS leftovers are passed over, as in folders.

    Everything that the archive declares is checked before anything is written. What it declares may be false,
    so bytes are counted again as they come. An archive in the archive stays one file.

    Parameters
    ----------
    path
        The archive.
    folder
        Where the files go; it is made if it is missing.
    limits
        The most that is unpacked.
    keep_names
        True: files have the archive's own names, which are checked, and the permissions of any new file.
        False: files are `file-0`, `file-1`, … whatever the names, and only this user can read them.

    Returns
    -------
    list of (Path, str)
        Each file and the archive's own name for it, in the archive's order.

    Raises
    ------
    ZipRefusedError
        For an archive that is empty, damaged, encrypted, oddly packed, or over a limit, and for a member that
        is a link; with `keep_names` also for names that lead out of the folder, or that two members share.
    OSError
        Where the files cannot be written.
    """
    try:
        _check_directory(path, limits.files)
        with zipfile.ZipFile(path) as archive:
            members = [one for one in archive.infolist() if not (_name(one).endswith("/") or _hidden(one))]
            _check_members(members, limits)
            budget = _check_size(members, limits, path.stat().st_size)
            names = _own_names(members) if keep_names else (f"file-{n}" for n in range(len(members)))
            places = [folder / name for name in names]
            for member, place in zip(members, places, strict=True):
                place.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as packed, _create(place, 0o666 if keep_names else 0o600) as file:
                    budget -= _copy(packed, file, min(limits.file_bytes, budget))
            return [(place, one.filename) for one, place in zip(members, places, strict=True)]
    except (*ZIP_ERRORS, OSError) as error:
        # An offset before the archive's start is an OSError, too; any other one is of the disk.
        of_the_archive = (errno.EINVAL, *(_BAD_NAMES if keep_names else ()))
        if isinstance(error, OSError) and error.errno not in of_the_archive:
            raise
        raise ZipRefusedError("damaged", str(error)) from None


def _check_directory(path: Path, files: int) -> None:
    """Refuse a central directory that would be large in memory, before `zipfile` reads it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - _END_SIZE - _COMMENT_SIZE - _LOCATOR_64_SIZE - _END_64_SIZE))
        start, tail = file.tell(), file.read()
    # Found as `zipfile` finds it.
    place = len(tail) - _END_SIZE
    if not (tail[place : place + 4] == _END and tail[-2:] == b"\0\0"):
        place = tail.rfind(_END)
    if place < 0:
        raise zipfile.BadZipFile("it has no directory")
    directory = int.from_bytes(tail[place + 12 : place + 16], "little")
    locator = tail[max(0, place - _LOCATOR_64_SIZE) : place]
    if locator.startswith(_LOCATOR_64):
        place -= _LOCATOR_64_SIZE + _END_64_SIZE
        record = tail[max(0, place) : place + _END_64_SIZE]
        # Versions of `zipfile` look for this record in two places, so only one that is in both is believed.
        stated = int.from_bytes(locator[8:16], "little")
        if not record.startswith(_END_64) or stated != start + place:
            raise zipfile.BadZipFile("its zip64 directory is not where it should be")
        directory = int.from_bytes(record[40:48], "little")
    if directory > _ENTRY * (files + 1):
        raise ZipRefusedError("too many")


def _check_members(members: list[zipfile.ZipInfo], limits: ZipLimits) -> None:
    if not members:
        raise ZipRefusedError("empty")
    if len(members) > limits.files:
        raise ZipRefusedError("too many")
    for member in members:
        if member.flag_bits & _ENCRYPTED:
            raise ZipRefusedError("encrypted", member.filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise ZipRefusedError("link", member.filename)
        if member.compress_type not in _METHODS:
            raise ZipRefusedError("method", member.filename)


def _check_size(members: list[zipfile.ZipInfo], limits: ZipLimits, packed: int) -> int:
    """Return the number of bytes that all members may have together."""
    budget = min(limits.total_bytes, int(limits.ratio * packed) + limits.slack)
    declared = sum(member.file_size for member in members)
    if declared > budget or any(member.file_size > limits.file_bytes for member in members):
        raise ZipRefusedError("too large", declared=declared)
    return budget


def _own_names(members: list[zipfile.ZipInfo]) -> Iterator[str]:
    """Yield the members' names. They are all different and stay within a folder."""
    seen = set[PurePosixPath]()
    for member in members:
        path = PurePosixPath(_name(member))
        if path.is_absolute() or ".." in path.parts or ":" in member.filename or not path.parts:
            raise ZipRefusedError("outside", member.filename)
        if path in seen:  # ambiguous: either member could be meant
            raise ZipRefusedError("twice", str(path))
        seen.add(path)
        yield str(path)


def _name(member: zipfile.ZipInfo) -> str:
    """Return the member's name with slashes; some tools on Windows write backslashes."""
    return member.filename.replace("\\", "/")


def _hidden(member: zipfile.ZipInfo) -> bool:
    parts = [part for part in _name(member).split("/") if part not in (".", "..")]
    return "__MACOSX" in parts or any(part.startswith(".") for part in parts)


def _create(path: Path, mode: int) -> BinaryIO:
    """Create a file. Raises FileExistsError rather than follow a link or overwrite."""
    return open(path, "xb", opener=partial(os.open, mode=mode))


def _copy(packed: IO[bytes], file: BinaryIO, most: int) -> int:
    """Write a member of at most `most` bytes; return its size."""
    size = 0
    while chunk := packed.read(_CHUNK):
        size += len(chunk)
        if size > most:
            raise ZipRefusedError("too large")
        file.write(chunk)
    return size
