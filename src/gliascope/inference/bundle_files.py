"""Files of a bundle, out of its folder or a .zip of it."""

import zipfile
from collections.abc import Sequence
from pathlib import Path

from gliascope.errors import BundleError
from gliascope.runtime.files import ZIP_DAMAGES

_SIGNATURE = b"PK"
_ENCRYPTED = 0x1


def read_bundle_files(path: Path, names: Sequence[str]) -> dict[str, bytes]:
    """Contents of those of `names` that are there; the first is beside all others, and has to be there.

    Raises BundleError where it is not, and where a .zip is encrypted, damaged, packed by a method that Python
    lacks, or holds several bundles.
    """
    try:
        found = _in_folder(path, names) if path.is_dir() else _in_zip(path, names)
    except OSError as error:
        raise BundleError(
            f"{path}: not a bundle ({error.strerror or error}); make one with `gliascope bundle`"
        ) from None
    if names[0] not in found:
        raise BundleError(f"{path}: not a bundle (it lacks {names[0]}); make one with `gliascope bundle`")
    return found


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
        raise BundleError(f"{path}: {error}; pack it again, by the plain method (deflate)") from None
    except ZIP_DAMAGES as error:
        raise BundleError(f"{path}: the .zip is damaged ({error}); pack or copy it again") from None


def _members(path: Path, archive: zipfile.ZipFile, names: Sequence[str]) -> dict[str, zipfile.ZipInfo]:
    """By name: a .zip of the folder holds them under the folder's, one of its content does not."""
    # Some tools on Windows part folders by backslashes.
    inside = [(member.filename.replace("\\", "/"), member) for member in archive.infolist()]
    starts = [place.removesuffix(names[0]) for place, _ in inside if place.split("/")[-1] == names[0]]
    if len(starts) > 1:
        raise BundleError(f"{path}: the .zip holds several bundles; pack each by itself")
    found: dict[str, zipfile.ZipInfo] = {}
    for place, member in inside:
        name = place.removeprefix(starts[0]) if starts and place.startswith(starts[0]) else ""
        if name in found:
            raise BundleError(f"{path}: the .zip holds {place} twice; pack it again")
        if name in names:
            found[name] = member
    return found


def _read(path: Path, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> bytes:
    if member.flag_bits & _ENCRYPTED:
        raise BundleError(f"{path}: the .zip is encrypted; pack it again without a password")
    return archive.read(member)
