"""Archives from strangers, unpacked with care."""

import errno
import shutil
import stat
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

from gliascope.errors import FetchError
from gliascope.files import ZIP_DAMAGES

_OF_THE_ARCHIVE = (errno.EINVAL, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.EEXIST)
"""An offset before the start; names that no file can have, or that a file and a folder share."""

MEMBERS = 500_000
RATIO = 200  # unpacked to packed bytes; image files hardly shrink


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into `folder`.

    Raises FetchError before anything is written where a member would land outside, is a link, is there twice
    or cannot be read, where there are more than MEMBERS, or their size is over RATIO times the archive's or
    does not fit the disk; and afterwards where a checksum is wrong.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            members = content.infolist()
            for member in members:
                member.filename = member.filename.replace("\\", "/")  # as some tools on Windows part folders
                _check_member(archive, member)
            _check_names(archive, members)
            _check_size(archive, members, folder)
            # Reading stops at the size that the directory states, so that it bounds what is written.
            content.extractall(folder, members)
    except (*ZIP_DAMAGES, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _OF_THE_ARCHIVE:
            raise
        raise FetchError(f"{archive.name}: damaged archive ({error})") from None


def _check_member(archive: Path, member: zipfile.ZipInfo) -> None:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or ":" in member.filename:
        raise FetchError(f"{archive.name}: {member.filename!r} leads out of the archive's folder; refused")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise FetchError(f"{archive.name}: {member.filename!r} is a link; refused")
    if member.flag_bits & 1 or member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FetchError(f"{archive.name}: {member.filename!r} is encrypted or oddly packed; unpack by hand")


def _check_names(archive: Path, members: list[zipfile.ZipInfo]) -> None:
    """Refuse what would overwrite another member: which of both is meant, nobody can tell."""
    names = [member.filename for member in members if not member.is_dir()]
    if doubled := [name for name, count in Counter(names).items() if count > 1]:
        raise FetchError(f"{archive.name}: holds {doubled[0]!r} twice; refused")


def _check_size(archive: Path, members: list[zipfile.ZipInfo], folder: Path) -> None:
    size, packed = sum(member.file_size for member in members), archive.stat().st_size
    if len(members) > MEMBERS or size > RATIO * packed:
        raise FetchError(
            f"{archive.name}: {len(members)} files of {size} bytes in all, packed into {packed} bytes; "
            "refused as made to fill the disk"
        )
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if size > free:
        raise FetchError(f"{folder}: {archive.name} needs {size} bytes unpacked but {free} are free")
