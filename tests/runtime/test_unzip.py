"""What both doors rest on; their own tests are in serving/test_unzip.py and data/sources/test_unpack.py."""

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from gliascope.runtime.unzip import ZipLimits, ZipRefusedError, unzip

LIMITS = ZipLimits(files=10, file_bytes=10**6, total_bytes=3 * 10**6, ratio=1000)


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def as_zip64(path: Path) -> None:
    """Rewrite the end of an archive as tools do that write zip64 whatever the size."""
    content = path.read_bytes()
    end = content.rindex(b"PK\x05\x06")
    entries, size, offset = struct.unpack_from("<H2I", content, end + 10)
    record = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, entries, entries, size, offset)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, end, 1)
    small = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    path.write_bytes(content[:end] + record + locator + small)


def refused(reason: str):
    return pytest.raises(ZipRefusedError, check=lambda error: error.reason == reason)


@pytest.mark.parametrize("names", [("x/1", "x//1"), ("x/1", "./x/1"), ("x/1", "x\\1")])
def test_names_that_mean_the_same_file_are_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    members = [zipfile.ZipInfo("x") for _ in names]
    for member, name in zip(members, names, strict=True):
        member.filename = name
    with refused("twice"):
        unzip(
            write(tmp_path / "a", *((one, b"") for one in members)), tmp_path / "o", LIMITS, keep_names=True
        )
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize("names", [("x", "x/1"), ("x/1", "x"), ("n" * 300,)])
def test_names_that_no_disk_takes_are_damage(tmp_path: Path, names: tuple[str, ...]) -> None:
    with refused("damaged"):
        unzip(write(tmp_path / "a", *((one, b"") for one in names)), tmp_path / "o", LIMITS, keep_names=True)


def test_nothing_is_overwritten_and_no_link_followed(tmp_path: Path) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "x").symlink_to(tmp_path / "elsewhere")
    with refused("damaged"):
        unzip(write(tmp_path / "a", ("x", b"evil")), tmp_path / "o", LIMITS, keep_names=True)
    assert not (tmp_path / "elsewhere").exists()


def test_only_numbered_files_are_private(tmp_path: Path) -> None:
    archive, umask = write(tmp_path / "a", ("x/1", b"one")), os.umask(0o022)
    try:
        ((named, _),) = unzip(archive, tmp_path / "named", LIMITS, keep_names=True)
        ((numbered, name),) = unzip(archive, tmp_path / "numbered", LIMITS, keep_names=False)
    finally:
        os.umask(umask)
    assert (named, named.stat().st_mode & 0o777) == (tmp_path / "named" / "x" / "1", 0o644)
    assert (numbered, numbered.stat().st_mode & 0o777) == (tmp_path / "numbered" / "file-0", 0o600)
    assert name == "x/1"


@pytest.mark.parametrize("keep_names", [True, False])
def test_zip64_is_read_within_the_same_limits(tmp_path: Path, keep_names: bool) -> None:
    as_zip64(write(tmp_path / "a", ("x", b"one")))
    ((path, _),) = unzip(tmp_path / "a", tmp_path / "o", LIMITS, keep_names=keep_names)
    assert path.read_bytes() == b"one"
    many = io.BytesIO()
    with zipfile.ZipFile(many, "w") as archive:
        for number in range(5_000):
            archive.writestr(f"{number:05d}", b"")
    (tmp_path / "many").write_bytes(many.getvalue())
    as_zip64(tmp_path / "many")
    with refused("too many"), pytest.MonkeyPatch.context() as patch:
        patch.setattr(zipfile, "ZipFile", lambda *_: pytest.fail("its directory was read"))
        unzip(tmp_path / "many", tmp_path / "o", LIMITS, keep_names=keep_names)


@pytest.mark.parametrize("changed", ["where the record is", "its signature"])
def test_a_zip64_directory_that_may_be_another_one_is_damage(tmp_path: Path, changed: str) -> None:
    as_zip64(write(tmp_path / "a", ("x", b"one")))
    content = bytearray((tmp_path / "a").read_bytes())
    locator = content.rindex(b"PK\x06\x07")
    content[locator + 8 if changed == "where the record is" else locator - 56] ^= 1
    (tmp_path / "a").write_bytes(content)
    with refused("damaged"):
        unzip(tmp_path / "a", tmp_path / "o", LIMITS, keep_names=True)


def test_a_ratio_without_slack_is_held_to_the_byte(tmp_path: Path) -> None:
    packed = write(tmp_path / "a", ("x", bytes(10_000))).stat().st_size
    for files, most in (("fits", 10_000), ("over", 9_999)):
        limits = ZipLimits(files=1, file_bytes=10**6, total_bytes=10**6, ratio=(most + 0.5) / packed)
        if files == "fits":
            unzip(tmp_path / "a", tmp_path / files, limits, keep_names=True)
        else:
            with refused("too large"):
                unzip(tmp_path / "a", tmp_path / files, limits, keep_names=True)
