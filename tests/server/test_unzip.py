import io
import random
import stat
import struct
import zipfile
from pathlib import Path

import pytest

from gliascope.runtime.unzip import is_zip
from gliascope.server.api_error import UploadError
from gliascope.server.unzip import unzip


def packed(tmp_path: Path, members: list[tuple[zipfile.ZipInfo | str, bytes]], method: int = 8) -> Path:
    path = tmp_path / "archive"
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def unpacked(path: Path, **limits: float) -> list[tuple[Path, str]]:
    folder = path.parent / "out"
    folder.mkdir(exist_ok=True)
    most = {"files": 10, "file_bytes": 10**6, "total_bytes": 3 * 10**6, "ratio": 1000} | limits
    return unzip(path, folder, **most)  # type: ignore[arg-type]


def refused(code: str):
    return pytest.raises(UploadError, check=lambda error: error.code == code)


def test_members_are_numbered_files_whatever_they_are_called(tmp_path: Path) -> None:
    names = ["../../up", "/etc/absolute", "a/../../b", "C:\\drive", "name\u202egnp"]
    found = unpacked(packed(tmp_path, [(name, name.encode()) for name in names]))
    assert [path.parent for path, _ in found] == [tmp_path / "out"] * 5
    assert [path.read_bytes().decode() for path, _ in found] == names
    assert [name for _, name in found] == [
        "../../up",
        "/etc/absolute",
        "a/../../b",
        "C:\\drive",
        "name\ufffdgnp",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"archive", "out"}
    assert {stat.S_IMODE(path.stat().st_mode) for path, _ in found} == {0o600}


def test_folders_and_what_is_hidden_are_passed_over(tmp_path: Path) -> None:
    names = ["folder/", "folder/IM1", ".DS_Store", "__MACOSX/._IM1", ".git/config"]
    assert [name for _, name in unpacked(packed(tmp_path, [(name, b"") for name in names]))] == ["folder/IM1"]


def test_backslashes_part_folders_as_slashes_do(tmp_path: Path) -> None:
    members = []
    for name in ("head\\", "head\\IM1", "__MACOSX\\._IM1", "head\\.hidden"):
        member = zipfile.ZipInfo("x")
        member.filename = name
        members.append((member, b""))
    assert [name for _, name in unpacked(packed(tmp_path, members))] == ["head\\IM1"]


@pytest.mark.parametrize("names", [[], ["folder/"], [".DS_Store", "__MACOSX/._IM1"]])
def test_an_archive_without_a_file_is_told(tmp_path: Path, names: list[str]) -> None:
    with refused("empty_zip"):
        unpacked(packed(tmp_path, [(name, b"") for name in names]))


def test_an_archive_in_the_archive_stays_packed(tmp_path: Path) -> None:
    inner = packed(tmp_path, [("a", b"x")]).read_bytes()
    ((path, name),) = unpacked(packed(tmp_path, [("inner.zip", inner)]))
    assert name == "inner.zip"
    assert is_zip(path)


def test_bombs_are_refused_by_what_they_declare_and_by_what_comes(tmp_path: Path) -> None:
    bomb = packed(tmp_path, [("zeros", bytes(900_000))])
    assert bomb.stat().st_size < 2000
    assert unpacked(bomb)[0][0].stat().st_size == 900_000
    with refused("too_large"):
        unpacked(packed(tmp_path, [("zeros", bytes(1_000_001))]))
    with refused("too_large"):
        unpacked(packed(tmp_path, [(f"{n}", bytes(900_000)) for n in range(4)]))
    with refused("too_large"):  # three MB of a few kB, at a ratio of one and one MiB of grace
        unpacked(packed(tmp_path, [(f"{n}", bytes(900_000)) for n in range(3)]), ratio=1)
    with refused("too_large"):
        unpacked(packed(tmp_path, [(f"{n}", b"") for n in range(11)]))


@pytest.mark.parametrize("declared", [0, 10, 900_000, 0xFFFF_FFF0])
def test_declared_sizes_may_lie(tmp_path: Path, declared: int) -> None:
    path = packed(tmp_path, [("zeros", bytes(2_000_000))])
    content = bytearray(path.read_bytes())
    central = content.index(b"PK\x01\x02")
    struct.pack_into("<I", content, central + 24, declared)
    struct.pack_into("<I", content, 22, declared)
    path.write_bytes(content)
    with pytest.raises(UploadError, check=lambda error: error.code in ("too_large", "bad_zip")):
        unpacked(path)
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 1_000_000


def test_members_that_share_their_bytes_are_counted_each(tmp_path: Path) -> None:
    """As Fifield 2019 ("A better zip bomb") makes them: many entries, one content."""
    path = packed(tmp_path, [("zeros", bytes(500_000))])
    content = path.read_bytes()
    start = content.index(b"PK\x01\x02")
    end = content.index(b"PK\x05\x06")
    entries = content[start:end] * 9
    tail = bytearray(content[end:])
    struct.pack_into("<HHI", tail, 8, 9, 9, len(entries))
    path.write_bytes(content[:start] + entries + bytes(tail))
    with pytest.raises(UploadError):
        unpacked(path)
    assert sum(file.stat().st_size for file in (tmp_path / "out").iterdir()) <= 3_000_000


def test_a_flood_of_entries_is_refused_before_it_is_in_memory(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(5_000):
            archive.writestr(f"{number:05d}", b"")
    path = tmp_path / "archive"
    path.write_bytes(buffer.getvalue())
    with refused("too_large"):
        unpacked(path)


def test_what_cannot_be_read_as_files_is_told(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with refused("linked_zip"):
        unpacked(packed(tmp_path, [(link, b"/etc/passwd")]))
    with refused("bad_zip"):
        unpacked(packed(tmp_path, [("a", b"x")], zipfile.ZIP_LZMA))
    path = packed(tmp_path, [("a", b"x")])
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    with refused("encrypted_zip"):
        unpacked(path)


def test_damaged_archives_raise_upload_errors_only(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = packed(tmp_path, [(f"IM{n}", rng.randbytes(200)) for n in range(4)]).read_bytes()
    refusals = 0
    for _ in range(600):
        content = bytearray(whole[: rng.choice([len(whole), rng.randrange(4, len(whole))])])
        for _ in range(rng.randrange(6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        path = tmp_path / "archive"
        path.write_bytes(content)
        for file in (tmp_path / "out").glob("*"):
            file.unlink()
        try:
            unpacked(path)
        except UploadError:
            refusals += 1
    assert 200 < refusals < 600
