"""A Ray cluster of two workers on this machine."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def address() -> Iterator[str]:
    """Where it is. Whoever knows its token may use it: these tests."""
    os.environ |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
    }  # before Ray is imported
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'gliascope[scale]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="ray")  # not pytest's: a socket's path must be short
    options = ["--head", "--block", "--num-cpus=2", "--include-dashboard=false", "--disable-usage-stats"]
    places = ["--node-ip-address=127.0.0.1", f"--port={port}", f"--temp-dir={folder}"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *options, *places]
    with (Path(folder) / "log").open("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        while "Ray runtime started" not in (Path(folder) / "log").read_text():
            if process.poll() is not None:
                pytest.skip(f"Ray does not start here: {(Path(folder) / 'log').read_text()[-300:]}")
            time.sleep(0.2)
        yield f"127.0.0.1:{port}"
        process.terminate()  # `--block`: it stops what it started
        process.wait()
    shutil.rmtree(folder, ignore_errors=True)
