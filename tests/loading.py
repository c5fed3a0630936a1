"""A server in a process of its own, and clients that put load on it; for tests and benchmarks."""

import asyncio
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

SECONDS = 90
"""Longest wait for a start, a response or an end; longer than the server's own limits allow."""
_BOUNDARY = "gliascope-load"
_RETRY = 0.05


@dataclass(frozen=True, slots=True)
class Body:
    """A multipart body, made once, and the number of slices in it."""

    content: bytes
    slices: int

    @classmethod
    def of(cls, files: Sequence[tuple[str, bytes]], slices: int | None = None) -> "Body":
        """Make a body of files. `slices` is their number of slices; None means one for each file."""
        head = '\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
        parts = [f"--{_BOUNDARY}{head.format(name)}".encode() + content + b"\r\n" for name, content in files]
        return cls(b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), slices or len(files))


HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """The response to one request.

    `began` is by time.monotonic. `status` is 0 if no response came. `error` is the error's code, or the name of
    the exception if no response came. `retry` tells whether Retry-After was given, and `complete` whether all
    slices were predicted."""

    began: float
    seconds: float
    slices: int
    status: int
    error: str
    retry: bool
    complete: bool

    @property
    def turned_away(self) -> bool:
        """Whether the server accepted nothing: it asked to try again, or the connection was refused."""
        return self.error == "ConnectError" or (self.status in (503, 507) and self.retry)

    @property
    def lost(self) -> bool:
        """Whether the request was accepted, and was not answered completely."""
        return not self.turned_away and not (self.status == 200 and self.complete)


class Server:
    """`gliascope serve` on a free port. Use `serving`."""

    def __init__(self, bundle: Path, temporary: Path, settings: dict[str, object]) -> None:
        self.bundle = bundle
        self.temporary = temporary
        self.log = temporary.with_name(temporary.name + ".log")
        self.log.touch()
        fitting = {"rate": "1000000/minute", "temporary": temporary, "port": 0} | settings
        environment = os.environ | {
            f"GLIASCOPE_{name.upper()}": str(value) for name, value in fitting.items()
        }
        command = [sys.executable, "-m", "gliascope", "serve", f"model={bundle}"]
        with self.log.open("a") as log:
            start = log.tell()
            self.process = subprocess.Popen(command, stderr=log, env=environment, start_new_session=True)
        self.address = self._address(start)
        self.client = httpx2.Client(base_url=self.address, timeout=SECONDS)

    def _address(self, start: int) -> str:
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and self.process.poll() is None:
            if found := re.search(r"serving .* on (http://\S+);", self.log.read_text()[start:]):
                return found[1]
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.log.read_text()}")

    def workers(self) -> list[int]:
        """Process ids of the decoding workers: the children of the forkserver."""
        return [worker for helper in children(self.process.pid) for worker in children(helper)]

    def leftovers(self) -> list[Path]:
        """Upload folders in the temporary folder."""
        return [path for path in self.temporary.iterdir() if path.name.startswith("gliascope-")]

    def taken(self) -> float:
        """Number of slices that the server counts as admitted and not yet answered."""
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("gliascope_queue_slices ")).split()[1])

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Send the server a signal, wait until it has ended, and return its exit code."""
        self.process.send_signal(by)
        return self.process.wait(SECONDS)


@contextmanager
def serving(bundle: Path, temporary: Path, **settings: object) -> Iterator[Server]:
    """Run a server with these settings. It is killed at the end of the `with` block."""
    temporary.mkdir(exist_ok=True)
    server = Server(bundle, temporary, settings)
    try:
        yield server
    finally:
        server.client.close()
        server.process.kill()
        server.process.wait()


@asynccontextmanager
async def busy(address: str, bodies: Sequence[Body], clients: int) -> AsyncIterator[list[Answer]]:
    """Let clients send random bodies, one after the other, during a `with` block; yields their answers.

    The end of the block waits for the responses to requests that have been sent.
    """
    answers: list[Answer] = []
    stop = asyncio.Event()
    limits = httpx2.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with httpx2.AsyncClient(
        base_url=address, timeout=SECONDS, limits=limits, headers=HEADERS
    ) as client:

        async def go(number: int) -> None:
            draw = random.Random(number)
            while not stop.is_set():
                answer = await ask(client, draw.choice(bodies))
                answers.append(answer)
                if answer.status != 200:
                    await asyncio.sleep(_RETRY)

        running = [asyncio.create_task(go(number)) for number in range(clients)]
        try:
            yield answers
        finally:
            stop.set()
            await asyncio.gather(*running)


async def ask(client: httpx2.AsyncClient, body: Body) -> Answer:
    """Send one body."""
    began = time.monotonic()

    def answer(status: int, error: str, retry: bool = False, complete: bool = False) -> Answer:
        return Answer(began, time.monotonic() - began, body.slices, status, error, retry, complete)

    try:
        response = await client.post("/v1/predict", content=body.content)
        content = response.json()
    except (httpx2.HTTPError, ValueError) as error:
        return answer(0, type(error).__name__)
    if response.status_code == 200:
        return answer(200, "", complete=len(content["slices"]) == body.slices and not content["rejects"])
    return answer(response.status_code, content["error"]["code"], "retry-after" in response.headers)


def children(parent: int) -> list[int]:
    """Process ids of the children of a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(folder.name))
    return found


def alive(process: int) -> bool:
    """Whether a process still runs."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def cpu_seconds(process: int) -> float:
    """CPU time of a process so far, user and system; 0 if it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
