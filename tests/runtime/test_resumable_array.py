from pathlib import Path

import numpy as np
import pytest

from gliascope.runtime.resumable_array import ResumableArray

VALUES = np.arange(24, dtype=np.float32).reshape(2, 3, 4)


def test_rows_are_there_once_written_and_only_they(tmp_path: Path) -> None:
    file = ResumableArray(tmp_path / "deep" / "a.npy", 5)
    assert not file.written_rows().any()
    file.write(np.array([3, 1]), VALUES)
    assert file.written_rows().tolist() == [False, True, False, True, False]
    assert file.open().shape == (5, 3, 4)
    assert np.array_equal(file.open()[[3, 1]], VALUES)


def test_writing_again_or_beside_another_changes_nothing(tmp_path: Path) -> None:
    one, other = (ResumableArray(tmp_path / "a.npy", 5) for _ in range(2))
    one.write(np.array([0, 1]), VALUES)
    before = (tmp_path / "a.npy").read_bytes()
    other.write(np.array([1]), VALUES[1:])
    assert (tmp_path / "a.npy").read_bytes() == before
    other.write(np.array([4]), VALUES[:1])
    assert one.written_rows().tolist() == [True, True, False, False, True]


def test_marks_of_a_file_that_is_gone_do_not_count(tmp_path: Path) -> None:
    file = ResumableArray(tmp_path / "a.npy", 2)
    file.write(np.array([0, 1]), VALUES)
    (tmp_path / "a.npy").unlink()
    assert not file.written_rows().any()
    file.write(np.array([1]), VALUES[:1])
    assert file.written_rows().tolist() == [False, True]


def test_space_is_reserved_where_asked_for(tmp_path: Path) -> None:
    ResumableArray(tmp_path / "a.npy", 3).create(np.uint8, (1 << 20,), reserve=True)
    assert (tmp_path / "a.npy").stat().st_blocks * 512 >= 3 << 20
    ResumableArray(tmp_path / "b.npy", 3).create(np.uint8, (1 << 20,))
    assert (tmp_path / "b.npy").stat().st_blocks * 512 < 1 << 20


def test_a_disk_that_is_too_small_fails_at_once_and_holds_nothing(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space left"):
        ResumableArray(small_disk / "deep" / "a.npy", 2).create(np.uint8, (1 << 20,), reserve=True)
    assert not list(small_disk.iterdir())


def test_a_disk_that_fills_up_says_so_and_keeps_what_is_done(small_disk: Path) -> None:
    file = ResumableArray(small_disk / "a.npy", 4)
    rows = np.ones((1, 400 << 10), dtype=np.uint8)
    with pytest.raises(OSError, match="No space left"):
        for row in range(4):
            file.write(np.array([row]), rows)
    assert file.written_rows().tolist() == [True, True, False, False]
