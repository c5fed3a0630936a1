from pathlib import Path

import pytest

from gliascope.files import atomic_file, atomic_folder, write_text


def test_a_failed_block_leaves_the_old_content_and_no_remains(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ValueError, match="stop"), atomic_file(target) as temporary:
        temporary.write_text("half")
        raise ValueError("stop")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failed_folder_leaves_the_old_one(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with atomic_folder(target) as temporary:
        write_text(temporary / "a", "old")
    with pytest.raises(ValueError, match="stop"), atomic_folder(target) as temporary:
        write_text(temporary / "a", "half")
        raise ValueError("stop")
    assert (target / "a").read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_replaces_another_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "folder") as temporary:
            write_text(temporary / name, name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode
