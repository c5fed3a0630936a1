"""Processes decode what threads do, and leave nothing behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from gliascope.dataset.scan import scan
from gliascope.errors import ReadError
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.runtime import process_pool, resumable_map
from gliascope.runtime.executors import ThreadExecutor, map_in_order
from gliascope.runtime.process_pool import ProcessExecutor, decoding_executor
from gliascope.store import store


@pytest.fixture
def two() -> Iterator[ProcessExecutor]:
    made = ProcessExecutor(2)
    yield made
    made.stop()


def test_catalogue_and_store_are_those_of_threads(
    make_source: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, two: ProcessExecutor
) -> None:
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 4)
    monkeypatch.setattr(store, "SLICES_PER_TASK", 4)
    source = make_source({"yes": 10, "no": 10})
    (source / "no" / "text.png").write_text("no picture")
    here, there = scan([source], executor=ThreadExecutor(2)), scan([source], executor=two)
    assert there.frame.equals(here.frame)
    assert there.excluded["path"].to_list() == here.excluded["path"].to_list() == ["source/no/text.png"]
    (source / "yes" / "007.png").unlink()
    stored = store.store(here.frame, Preprocessing(size=32), ThreadExecutor(2))
    monkeypatch.setenv("GLIASCOPE_CACHE", str(tmp_path / "other"))
    again = store.store(here.frame, Preprocessing(size=32), two)
    assert again.folder != stored.folder
    assert np.array_equal(again.pixels, stored.pixels)
    assert again.missing.tolist() == stored.missing.tolist() != []


def test_many_files_have_processes_and_few_threads(
    monkeypatch: pytest.MonkeyPatch, two: ProcessExecutor
) -> None:
    monkeypatch.setenv("GLIASCOPE_CORES", "2")
    monkeypatch.setattr(process_pool, "MIN_FILES", 5)
    with decoding_executor(None, 5) as them:
        assert set(map_in_order(them.wrap(abs), [-1, 1], them)) == {1}
        assert isinstance(them, ProcessExecutor)
    with decoding_executor(None, 4) as them:
        assert them == ThreadExecutor(2)
    with decoding_executor(two, 1) as them:
        assert them is two
    monkeypatch.setenv("GLIASCOPE_CORES", "1")
    with decoding_executor(None, 5) as them:
        assert them == ThreadExecutor(1)


def test_what_a_process_raises_comes_back(two: ProcessExecutor) -> None:
    def refuse(path: Path) -> None:
        raise ReadError(path, "damaged", "truncated")

    with pytest.raises(ReadError, match=r"slice\.png: damaged"):
        list(map_in_order(two.wrap(refuse), [Path("slice.png")] * 2, two))


def test_a_death_is_told(two: ProcessExecutor) -> None:
    def die(_: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ChildProcessError, match="run the same command again"):
        list(map_in_order(two.wrap(die), range(3), two))


def test_modules_that_lie_in_the_current_folder_are_not_run(
    make_source: Callable[..., Path], tmp_path: Path
) -> None:
    source = make_source({"yes": 4, "no": 4})
    program = tmp_path / "bin" / "program.py"  # as an installed command is
    program.parent.mkdir()
    program.write_text(
        "from gliascope.cli import main\nfrom gliascope.runtime import process_pool\nprocess_pool.MIN_FILES = 1\nmain()\n"
    )
    (source / "queue.py").write_text("open('was-run', 'w')")
    environment = os.environ | {"GLIASCOPE_CORES": "2"}
    command = [sys.executable, str(program), "scan", str(source), "--out", str(tmp_path / "c.parquet")]
    done = subprocess.run(command, cwd=source, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (source / "was-run").exists()
