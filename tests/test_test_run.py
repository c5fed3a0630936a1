"""The run of the tests itself: it ends, and says why, whatever a test does to its process."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
FATAL = {
    "dies": "import os\ndef test_fatal():\n    os.kill(os.getpid(), 9)\n",
    # Holds the interpreter's lock, as a library's C code may: no signal handler gets a turn.
    "hangs": "import ctypes\ndef test_fatal():\n    ctypes.PyDLL(None).sleep(100)\n",
}


@pytest.mark.parametrize("fault", FATAL)
def test_a_worker_that_dies_or_hangs_ends_the_run_with_the_name_of_its_test(
    fault: str, tmp_path: Path
) -> None:
    (tmp_path / "test_a.py").write_text(FATAL[fault])
    (tmp_path / "test_b.py").write_text("def test_other(): pass\n")
    plugins = ["-p", "xdist", "-p", "pytest_timeout", "-p", "no:cacheprovider"]
    options = ["--numprocesses=2", "--dist=loadfile", "-o", "faulthandler_timeout=3", f"--rootdir={tmp_path}"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", PROJECT, *plugins, *options, tmp_path],
        capture_output=True, text=True, timeout=120, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    assert "crashed while running 'test_a.py::test_fatal'" in done.stdout
