"""Unpack the archives of public sets, within limits that no honest archive exceeds."""

import shutil
from pathlib import Path

from gliascope.errors import DownloadError
from gliascope.runtime.unzip import Reason, ZipLimits, ZipRefusedError, unzip

MAX_MEMBERS = 500_000
MAX_RATIO = 200  # unpacked to packed bytes; image files hardly shrink

_REFUSALS: dict[Reason, str] = {
    "damaged": "damaged archive ({detail})",
    "empty": "holds no file that is not hidden",
    "encrypted": "{detail!r} is encrypted or oddly packed; unpack by hand",
    "method": "{detail!r} is encrypted or oddly packed; unpack by hand",
    "link": "{detail!r} is a link; refused",
    "outside": "{detail!r} leads out of the archive's folder; refused",
    "twice": "holds {detail!r} twice; refused",
    "too many": f"more than {MAX_MEMBERS:,} files; refused as made to fill the disk",
}


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a zip file into `folder`, under the archive's own names.

    Parameters
    ----------
    archive
        The zip file.
    folder
        A new folder.

    Raises
    ------
    DownloadError
        Before anything is written if a member would land outside `folder`, is a link, is there
    twice or
        cannot be read, if there are more than `MAX_MEMBERS`, or if their size exceeds `MAX_RATIO` times the
    archive's or the free disk space. Afterwards if a checksum is wrong.
    """
    free, packed = shutil.disk_usage(folder.parent).free, archive.stat().st_size
    try:
        unzip(archive, folder, ZipLimits(MAX_MEMBERS, free, free, MAX_RATIO), keep_names=True)
    except ZipRefusedError as error:
        if error.reason != "too large":
            reason = _REFUSALS[error.reason].format(detail=error.detail)
            raise DownloadError(f"{archive.name}: {reason}") from None
        if error.declared > MAX_RATIO * packed:
            raise DownloadError(
                f"{archive.name}: {error.declared} bytes in all, packed into {packed} bytes; "
                "refused as made to fill the disk"
            ) from None
        raise DownloadError(
            f"{folder}: {archive.name} needs {error.declared} bytes unpacked but {free} are free"
        ) from None
