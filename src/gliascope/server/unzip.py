"""Uploaded .zip files, unpacked within the limits of a request."""

from pathlib import Path

from gliascope.runtime import unzip as archives
from gliascope.runtime.unzip import Reason, ZipLimits, ZipRefusedError
from gliascope.server.api_error import UploadError, too_large
from gliascope.server.multipart import printable_name

_SLACK = 2**20  # bytes

_REFUSALS: dict[Reason, tuple[str, str]] = {
    "damaged": ("bad_zip", "the .zip is damaged; pack it again"),
    "empty": ("empty_zip", "the .zip holds no file; hidden files and folders are ignored"),
    "encrypted": ("encrypted_zip", "the .zip is encrypted; send it without a password"),
    "link": ("linked_zip", "the .zip holds links; pack the files themselves"),
    "method": ("bad_zip", "the .zip is packed by a rare method; pack it again with plain deflate"),
}


def unzip(
    path: Path, folder: Path, *, files: int, file_bytes: int, total_bytes: int, ratio: float
) -> list[tuple[Path, str]]:
    """Unpack a .zip file into numbered files in a folder.

    Parameters
    ----------
    path, folder
        The archive, and the folder of its files.
    files, file_bytes, total_bytes, ratio
        Limits, as `ZipLimits` takes them. One MiB beyond `ratio` is allowed, so that small archives pass.

    Returns
    -------
    list of (Path, str)
        Each file, and its name in the archive in printable form.

    Raises
    ------
    UploadError
        If the archive is empty, damaged, encrypted, holds a link, or is over a limit.
    OSError
        If the files cannot be written.
    """
    limits = ZipLimits(files, file_bytes, total_bytes, ratio, slack=_SLACK)
    try:
        members = archives.unzip(path, folder, limits, keep_names=False)
    except ZipRefusedError as error:
        raise _refusal(error.reason, files) from None
    return [(member, printable_name(name)) for member, name in members]


def _refusal(reason: Reason, files: int) -> UploadError:
    if reason == "too many":
        return too_large(f"an archive may hold {files:,} files; send fewer at a time")
    if reason == "too large":
        return too_large("the .zip unpacks to more than is allowed; send fewer files at a time")
    return UploadError(422, *_REFUSALS[reason])
