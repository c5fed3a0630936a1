"""`gliascope serve` in a process of its own."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import httpx2
import pytest
from quadrants import quadrant_bundle
from served import png, send, until, volume
from typer.testing import CliRunner

from gliascope.cli import app

SECONDS = 30


class Running:
    """`gliascope serve` on a free port, and what it prints."""

    def __init__(self, *arguments: str, **settings: str) -> None:
        command = [sys.executable, "-m", "gliascope", "serve", *arguments, "--port", "0", "--workers", "1"]
        environment = os.environ | {f"GLIASCOPE_{name.upper()}": value for name, value in settings.items()}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines: list[str] = []
        self.addresses: Queue[str] = Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        self.client = httpx2.Client(base_url=self.addresses.get(timeout=SECONDS), timeout=SECONDS)

    def _listen(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if found := re.search(r"serving .* on (http://\S+);", line):
                self.addresses.put(found[1])

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(SECONDS)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    quadrant_bundle().write(tmp_path / "quadrants")
    return tmp_path / "quadrants"


@pytest.fixture
def running(bundle: Path, tmp_path: Path) -> Iterator[Running]:
    (tmp_path / "temporary").mkdir()
    server = Running(str(bundle), temporary=str(tmp_path / "temporary"))
    yield server
    server.process.kill()
    server.process.wait()


def test_it_predicts_and_ends_when_told_to(running: Running, tmp_path: Path) -> None:
    answer = running.client.post("/v1/predict", files=send(("a.png", png(1))))
    assert answer.json()["slices"][0]["label"] == "meningioma"
    assert running.stop() == 0
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not [line for line in running.lines if "Traceback" in line]


def test_told_to_end_it_finishes_its_jobs_and_lets_them_be_fetched(running: Running, tmp_path: Path) -> None:
    client = running.client
    content = volume(tmp_path, 600)
    jobs = [client.post("/v1/jobs", files=send(("v.nii.gz", content))).headers["Location"] for _ in range(3)]
    running.process.send_signal(signal.SIGTERM)
    until(lambda: client.get("/readyz").status_code == 503)
    for path in ("/v1/predict", "/v1/jobs"):
        assert client.post(path, files=send(("a.png", png()))).json()["error"]["code"] == "stopping"
    states = []
    while jobs:  # once all are fetched, the server is gone
        time.sleep(0.05)
        states.append(client.get(jobs[0]).json()["state"])
        if states[-1] in ("done", "failed"):
            jobs.pop(0)
    assert states.count("done") == 3
    assert running.process.wait(SECONDS) == 0


def test_nobody_fetching_it_ends_all_the_same(bundle: Path, tmp_path: Path) -> None:
    server = Running(str(bundle), shutdown_seconds="1", temporary=str(tmp_path))
    server.client.post("/v1/jobs", files=send(("v.nii.gz", volume(tmp_path, 1500))))
    start = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - start < 15
    assert any("1 jobs" in line or "0 jobs" in line for line in server.lines)


def test_a_second_signal_ends_it_at_once(running: Running, tmp_path: Path) -> None:
    """A second signal stops the server at once, and no file is left."""
    running.client.post("/v1/jobs", files=send(("v.nii.gz", volume(tmp_path, 1500))))
    running.process.send_signal(signal.SIGTERM)
    until(lambda: running.client.get("/readyz").status_code == 503)
    running.process.send_signal(signal.SIGTERM)
    assert running.process.wait(SECONDS) == 0
    assert list((tmp_path / "temporary").iterdir()) == []
    assert not [line for line in running.lines if "Traceback" in line], "".join(running.lines)


def test_sighup_reloads(running: Running, bundle: Path) -> None:
    quadrant_bundle(turned=True).write(bundle)
    running.process.send_signal(signal.SIGHUP)
    until(lambda: any("model quadrants: reloaded" in line for line in running.lines))
    answer = running.client.post("/v1/predict", files=send(("a.png", png(0))))
    assert answer.json()["slices"][0]["label"] == "pituitary"


def test_answers_are_sent_at_once(running: Running) -> None:
    """Not 40 ms later, when their heads are acknowledged."""
    took = []
    for _ in range(20):
        start = time.perf_counter()
        assert running.client.get("/healthz").status_code == 200
        took.append(time.perf_counter() - start)
    assert min(took) < 0.03


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["serve", *arguments])
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    return line


def test_errors_are_one_line(bundle: Path, tmp_path: Path) -> None:
    assert "gliascope keys add" in invoke(str(bundle), "--host", "0.0.0.0")
    assert "nowhere: not a bundle" in invoke(str(tmp_path / "nowhere"))
    assert "not found; make a key" in invoke(str(bundle), "--keys", str(tmp_path / "keys.json"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}: Address already in use; choose another" in invoke(
            str(bundle), "--port", port
        )


EXTRAS = ("uvicorn", "pydantic_settings", "limits", "pebble")


@pytest.mark.parametrize(
    "module", ["fastapi", *(pytest.param(name, marks=pytest.mark.slow) for name in EXTRAS)]
)
def test_a_missing_extra_is_named(bundle: Path, module: str) -> None:
    program = f"import sys; sys.modules[{module!r}] = None; from gliascope.cli import main; main()"
    command = [sys.executable, "-c", program, "serve", str(bundle)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS)
    assert result.returncode == 2
    assert result.stderr == f"error: {module} is missing: pip install 'gliascope[serve]'\n"


def test_serving_needs_no_torch_and_help_needs_no_server(bundle: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gliascope.cli import app; "
        "assert not {'fastapi', 'onnxruntime', 'numpy'} & set(sys.modules), 'help is slow'; "
        "from gliascope.server.app import create_app; from gliascope.server.models import ModelSource; "
        "from gliascope.server.settings import Settings; "
        f"create_app(Settings(), [ModelSource('q', Path({str(bundle)!r}))]); "
        "print({'torch', 'timm', 'sklearn', 'matplotlib', 'jinja2'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout == "set()\n", done.stderr
