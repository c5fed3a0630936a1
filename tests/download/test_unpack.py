import io
import random
import stat
import zipfile
from pathlib import Path

import pytest

from gliascope.download.unpack import unpack
from gliascope.errors import DownloadError


def write(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def test_members_land_in_the_folder(tmp_path: Path) -> None:
    unpack(write(tmp_path / "a.zip", ("x/1.png", b"one"), ("y.txt", b"two")), tmp_path / "out")
    assert (tmp_path / "out/x/1.png").read_bytes() == b"one"
    assert (tmp_path / "out/y.txt").read_bytes() == b"two"


@pytest.mark.parametrize("name", ["../evil", "x/../../evil", "/evil", "..\\evil", "C:\\evil", "\\evil"])
def test_a_member_that_leads_outside_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    member = zipfile.ZipInfo("x")
    member.filename = name
    (tmp_path / "in").mkdir()
    archive = write(tmp_path / "in" / "a.zip", ("fine", b"fine"), (member, b"evil"))
    with pytest.raises(DownloadError, match="leads out of the archive's folder"):
        unpack(archive, tmp_path / "in" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a.zip", "in"]


def test_links_are_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("link")
    member.external_attr = (stat.S_IFLNK | 0o777) << 16
    with pytest.raises(DownloadError, match="is a link"):
        unpack(write(tmp_path / "a.zip", (member, b"/etc")), tmp_path / "out")


def test_archives_made_to_fill_the_disk_are_refused(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("zeros", bytes(10**7)))
    with pytest.raises(DownloadError, match="refused as made to fill the disk"):
        unpack(archive, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_archive_that_states_too_small_a_size_cannot_write_more(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("zeros", bytes(10**7)))
    content = archive.read_bytes()
    archive.write_bytes(content.replace((10**7).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(DownloadError, match="damaged archive"):
        unpack(archive, tmp_path / "out")
    assert sum(path.stat().st_size for path in (tmp_path / "out").rglob("*")) <= 10


def test_a_set_too_large_for_the_disk_is_refused(tmp_path: Path, small_disk: Path) -> None:
    noise = io.BytesIO(b"".join(n.to_bytes(4, "little") for n in range(500_000)))
    with pytest.raises(DownloadError, match=r"a\.zip needs 2000000 bytes unpacked but"):
        unpack(write(tmp_path / "a.zip", ("noise", noise.getvalue())), small_disk / "out")


def test_a_damaged_archive_is_one_line(tmp_path: Path) -> None:
    archive = write(tmp_path / "a.zip", ("x", bytes(range(256)) * 10))
    content = bytearray(archive.read_bytes())
    content[40] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(DownloadError, match=r"a\.zip: damaged archive"):
        unpack(archive, tmp_path / "out")


def test_backslashes_part_folders(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("x")
    member.filename = "Training\\glioma\\1.png"  # as some tools on Windows write it
    unpack(write(tmp_path / "a.zip", (member, b"one")), tmp_path / "out")
    assert (tmp_path / "out/Training/glioma/1.png").read_bytes() == b"one"


def test_a_member_that_would_overwrite_another_is_refused(tmp_path: Path) -> None:
    member = zipfile.ZipInfo("x")
    member.filename = "x\\1.png"
    with pytest.raises(DownloadError, match=r"'x/1\.png' twice"):
        unpack(write(tmp_path / "a.zip", ("x/1.png", b"one"), (member, b"two")), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_mutated_archives_raise_fetch_errors_only(tmp_path: Path) -> None:
    rng = random.Random(0)
    whole = write(tmp_path / "a.zip", *((f"IM{n}", rng.randbytes(200)) for n in range(4))).read_bytes()
    refusals = 0
    for number in range(600):
        content = bytearray(whole[: rng.choice([len(whole), rng.randrange(4, len(whole))])])
        for _ in range(rng.randrange(6)):
            content[rng.randrange(len(content))] = rng.randrange(256)
        (tmp_path / "a.zip").write_bytes(content)
        try:
            unpack(tmp_path / "a.zip", tmp_path / f"out{number}")
        except DownloadError:
            refusals += 1
    assert 200 < refusals < 600
