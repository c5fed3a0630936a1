import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from gliascope.errors import BusyError, LayoutError
from gliascope.runtime.files import atomic_file, write_text
from gliascope.runtime.folder_lock import file_lock, folder_lock

HOLD = """
import sys, time
from pathlib import Path
from gliascope.runtime.folder_lock import folder_lock
with folder_lock(Path(sys.argv[1])):
    print("in", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that is at work in `out`."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, tmp_path / "out"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"in\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_is_refused_by_the_name_of_the_first(holder, tmp_path: Path) -> None:
    told = rf"out: process {holder.pid} on {socket.gethostname()} is at work there; wait for it"
    with pytest.raises(BusyError, match=told), folder_lock(tmp_path / "out"):
        pytest.fail("let in")
    with folder_lock(tmp_path / "other"):
        pass


def test_the_lock_of_a_dead_process_does_not_block(holder, tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    assert (tmp_path / "out" / ".lock").exists()
    with folder_lock(tmp_path / "out"):
        assert f"process {os.getpid()} " in (tmp_path / "out" / ".lock").read_text()
    assert not list((tmp_path / "out").iterdir())


def test_nothing_is_left_of_a_claim(tmp_path: Path) -> None:
    with folder_lock(tmp_path / "out"):
        pass
    with pytest.raises(ValueError, match="stop"), folder_lock(tmp_path / "out"):
        raise ValueError("stop")
    with file_lock(tmp_path / "a.txt"):
        write_text(tmp_path / "a.txt", "a")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_kept_stays_until_the_end_is_good(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="stop"), file_lock(tmp_path / "a.txt") as kept:
        write_text(kept / "block", "half")
        raise ValueError("stop")
    with file_lock(tmp_path / "a.txt") as kept:
        assert (kept / "block").read_text() == "half"
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_had_begun_to_remove_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(_: Path) -> None:
        raise KeyboardInterrupt

    with (
        monkeypatch.context() as patch,
        pytest.raises(KeyboardInterrupt),
        folder_lock(tmp_path / "out") as kept,
    ):
        write_text(kept / "block", "half")
        patch.setattr("shutil.rmtree", stop)
    with folder_lock(tmp_path / "out") as kept:
        assert [path.name for path in kept.parent.iterdir()] == [".lock"]


def test_what_a_refused_command_kept_is_removed(tmp_path: Path) -> None:
    with pytest.raises(LayoutError), folder_lock(tmp_path / "out") as kept:
        write_text(kept / "block", "half")
        raise LayoutError("only one class")
    assert not (tmp_path / "out").exists()


def test_leftovers_of_a_kill_are_removed_and_nothing_else(tmp_path: Path) -> None:
    killed = "from pathlib import Path; import os, signal; from gliascope.runtime.files import *\n"
    for kind in ("file", "folder"):
        code = f"{killed}with atomic_{kind}(Path(r'{tmp_path}') / 'out' / 'a'): os.kill(os.getpid(), signal.SIGKILL)"
        subprocess.run([sys.executable, "-c", code])
    code = (
        "import numpy, os, signal, threading; from pathlib import Path; from safetensors.numpy import save_file\n"
        f"folder = Path(r'{tmp_path}') / 'out'\n"
        "def kill():\n while not list(folder.glob('.tmp*')): pass\n os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=kill).start()\n"
        "save_file({'a': numpy.zeros(12_000_000)}, folder / 'w')"
    )
    subprocess.run([sys.executable, "-c", code])
    assert len(list((tmp_path / "out").glob(".a.*.tmp"))) == 2
    assert len(list((tmp_path / "out").glob(".tmp*"))) == 1
    for name in (".hidden", ".hidden.tmp", "a.12345678.tmp"):
        write_text(tmp_path / "out" / name, "")
    with folder_lock(tmp_path / "out"):
        assert {path.name for path in (tmp_path / "out").iterdir()} == {
            ".lock", ".hidden", ".hidden.tmp", "a.12345678.tmp",
        }  # fmt: skip


def test_a_file_may_be_written_beside_another(tmp_path: Path) -> None:
    with file_lock(tmp_path / "b.txt"), atomic_file(tmp_path / "b.txt") as theirs:
        with file_lock(tmp_path / "a.txt"):
            assert theirs.exists()
        with pytest.raises(BusyError), file_lock(tmp_path / "b.txt"):
            pytest.fail("let in")


def test_what_a_killed_process_left_of_a_long_name_is_removed_too(tmp_path: Path) -> None:
    out = tmp_path / ("f" * 249 + ".jsonl")
    with atomic_file(out) as temporary:
        left = temporary.with_name(temporary.name)
        content = b"half"
        left.write_bytes(content)
    left.write_bytes(content)
    with file_lock(out):
        assert not left.exists()
    assert list(tmp_path.iterdir()) == [out]
