"""Read the files of a bundle from its folder, or from a .zip of it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from gliascope.errors import BundleError
from gliascope.runtime.files import ZIP_ERRORS

_SIGNATURE = b"PK"
_ENCRYPTED = 0x1


def read_bundle_files(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Read those of the named files that exist.

    Parameters
    ----------
    path
        A bundle's folder, or a .zip file of the folder or of its content.
    names
        File names. The first one has to exist, and the others are looked for beside it.

    Raises
    ------
    BundleError
        Where the first file is missing, or a .zip is encrypted, damaged, compressed by a method that Python
        lacks, or holds several bundles.
    """
    try:
        files = _in_folder(path, names) if path.is_dir() else _in_zip(path, names)
    except OSError as error:
        raise BundleError(
            f"{path}: not a bundle ({error.strerror or error}); make one with `gliascope bundle`"
        ) from None
    if names[0] not in files:
        raise BundleError(f"{path}: not a bundle (it lacks {names[0]}); make one with `gliascope bundle`")
    return files


def _in_folder(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (path / name).read_bytes() for name in names if (path / name).exists()}


def _in_zip(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    with path.open("rb") as file:
        if file.read(2) != _SIGNATURE:
            raise OSError("it is neither a folder nor a .zip")
    try:
        with zipfile.ZipFile(path) as archive:
            return {
                name: _read(path, archive, member) for name, member in _members(path, archive, names).items()
            }
    except NotImplementedError as error:
        raise BundleError(f"{path}: {error}; pack it again with the usual method (deflate)") from None
    except ZIP_ERRORS as error:
        raise BundleError(f"{path}: the .zip is damaged ({error}); pack or copy it again") from None


def _members(path: Path, archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """Find the named files in a .zip of the folder, or of its content."""
    # Some tools on Windows separate folders by backslashes.
    inside = [(member.filename.replace("\\", "/"), member) for member in archive.infolist()]
    starts = [name.removesuffix(names[0]) for name, _ in inside if name.split("/")[-1] == names[0]]
    if len(starts) > 1:
        raise BundleError(f"{path}: the .zip holds several bundles; pack each by itself")
    found: dict[str, zipfile.ZipInfo] = {}
    for full_name, member in inside:
        name = full_name.removeprefix(starts[0]) if starts and full_name.startswith(starts[0]) else ""
        if name in found:
            raise BundleError(f"{path}: the .zip holds {full_name} twice; pack it again")
        if name in names:
            found[name] = member
    return found


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise BundleError(f"{path}: the .zip is encrypted; pack it again without a password")
    return archive.read(member)
