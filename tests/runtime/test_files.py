from pathlib import Path

import pytest

from gliascope.runtime.files import atomic_file, atomic_folder, safe_name, write_text


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


def test_errors_name_what_was_asked_for_and_no_temporary_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    for target, name in ((tmp_path / "folder", "folder"), (tmp_path / "file" / "a.txt", "file")):
        with pytest.raises(OSError, match=f"{name}'$") as caught:
            write_text(target, "")
        assert caught.value.filename == str(tmp_path / name)


def test_a_folder_replaces_another_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic_folder(tmp_path / "folder") as temporary:
            write_text(temporary / name, name)
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["b"]


def test_files_are_as_readable_as_any_other(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


LONG = ["x" * 238 + ".png", "x" * 251 + ".png", "ö" * 119 + ".png", "脑" * 82 + ".nii.gz", "x" * 255]


@pytest.mark.parametrize("name", LONG)
def test_a_name_as_long_as_systems_take_is_written_atomically(tmp_path: Path, name: str) -> None:
    """A temporary sibling's name is longer by fourteen bytes."""
    write_text(tmp_path / name, "content")
    assert (tmp_path / name).read_text() == "content"
    with atomic_folder(tmp_path / "below" / name) as folder:
        write_text(folder / name, "content")
    with atomic_folder(tmp_path / "below" / name) as folder:
        write_text(folder / "another", "content")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()].count("another") == 1


@pytest.mark.parametrize(
    "name", ["a.png", "Te-gl_0010.jpg", "ü ö.nii.gz", ".hidden", "1.2.840.113", "x" * 251 + ".png"]
)
def test_a_name_that_every_system_takes_is_left_as_it_is(name: str) -> None:
    assert safe_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "x" * 300 + ".png", "ö" * 200 + ".png", "脑" * 100 + ".nii.gz", "a" + "🧠" * 80 + ".dcm", "x" * 256,
        "a:b.png", "a/b.png", "a\\b.png", 'what?"*<>|.png', "CON", "nul.png", "com1.tar.gz", "ends.", "ends ",
        "..", ".", "", "line\nbreak.png", "\udcff.png", "tab\t.png",
    ],
)  # fmt: skip
def test_another_becomes_one_that_every_system_takes(tmp_path: Path, name: str) -> None:
    made = safe_name(name)
    assert made != name
    assert len(made.encode()) <= 255
    assert not set(made) & set('<>:"/\\|?*\n\t\udcff')
    assert made.partition(".")[0].casefold() not in {"con", "nul", "com1"}
    assert made.rstrip(". ") == made
    assert safe_name(made) == made
    for ending in (".png", ".nii.gz", ".dcm", ".tar.gz"):
        assert name.endswith(ending) == made.endswith(ending) or ending == ".gz"
    assert len(safe_name(name, 100).encode()) <= 100
    (tmp_path / made).write_text("")


def test_names_that_differ_stay_different() -> None:
    names = {f"{'ö' * 150}{number}.png" for number in range(300)} | {
        "a:b.png",
        "a?b.png",
        "a_b.png",
        "a*b.png",
    }
    assert len({safe_name(name).casefold() for name in names}) == len(names)
