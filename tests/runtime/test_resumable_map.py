import os
from pathlib import Path

import pytest

from gliascope.runtime import resumable_map as module
from gliascope.runtime.executors import ThreadExecutor
from gliascope.runtime.resumable_map import Chunk, make_chunks, resumable_map


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Ten files, three a block."""
    monkeypatch.setattr(module, "MAX_CHUNK_FILES", 3)
    (tmp_path / "files").mkdir()
    made = [tmp_path / "files" / f"{number}" for number in range(10)]
    for number, path in enumerate(made):
        path.write_text(str(number))
    return made


def cut(files: list[Path], made_by: str = "") -> list[Chunk[Path]]:
    return list(make_chunks(files, lambda file: file, made_by))


class Work:
    def __init__(self, stop: int = 99) -> None:
        self.done: list[str] = []
        self.stop = stop

    def __call__(self, block: Chunk[Path]) -> bytes:
        if len(self.done) == self.stop:
            raise KeyboardInterrupt
        self.done.append(block.items[0].name)
        return "".join(file.read_text() for file in block.items).encode()


def results(files: list[Path], kept: Path | None, work: Work, made_by: str = "") -> list[bytes]:
    made = resumable_map(cut(files, made_by), work, kept, description="work", executor=ThreadExecutor(1))
    return [content for _, content in made]


def test_blocks_follow_the_files(files: list[Path]) -> None:
    assert [len(block.items) for block in cut(files)] == [3, 3, 3, 1]
    assert results(files, None, Work()) == [b"012", b"345", b"678", b"9"]
    by_threads = resumable_map(cut(files), Work(), None, description="work")
    assert [content for _, content in by_threads] == results(files, None, Work())


def test_large_files_make_small_blocks(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CHUNK_BYTES", 2)
    assert [len(block.items) for block in cut(files)] == [2] * 5


def test_what_was_done_before_an_interruption_is_found(
    files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(KeyboardInterrupt):
        results(files, tmp_path / "kept", Work(stop=2))
    work = Work()
    assert results(files, tmp_path / "kept", work) == [b"012", b"345", b"678", b"9"]
    assert work.done == ["6", "9"]
    assert "work: 6 of 10 files were done before an interruption" in capsys.readouterr().err


@pytest.mark.parametrize("change", ["later", "earlier", "content", "gone", "settings", "torn"])
def test_what_changed_is_done_again(files: list[Path], tmp_path: Path, change: str) -> None:
    kept, made_by = tmp_path / "kept", ""
    results(files, kept, Work())
    hour = {"later": 3600, "earlier": -3600}.get(change)
    stat = files[4].stat()
    if hour:  # clocks jump
        files[4].write_text("5")
        os.utime(files[4], (stat.st_atime + hour, stat.st_mtime + hour))
    elif change == "content":  # with the time put back
        files[4].write_text("5")
        os.utime(files[4], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    elif change == "gone":
        files[4].unlink()
        files.pop(4)
    elif change == "settings":
        made_by = "other"
    else:
        for path in kept.iterdir():
            path.write_bytes(path.read_bytes()[:-1])
    work = Work()
    results(files, kept, work, made_by)
    assert work.done == {
        "gone": ["3", "7"],
        "settings": ["0", "3", "6", "9"],
        "torn": ["0", "3", "6", "9"],
    }.get(change, ["3"])
