"""A server as a process of its own, and clients that keep it busy; for tests and benchmarks."""

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
"""Nobody waits longer, for a start, an answer or an end. More than a server takes that goes by its own limits."""
_BOUNDARY = "gliascope-load"
_RETRY = 0.05


@dataclass(frozen=True, slots=True)
class Body:
    """What a client sends, made once; it holds so many slices."""

    content: bytes
    slices: int

    @classmethod
    def of(cls, files: Sequence[tuple[str, bytes]], slices: int | None = None) -> "Body":
        """slices: where that is not one a file."""
        head = '\r\nContent-Disposition: form-data; name="files"; filename="{}"\r\n\r\n'
        parts = [f"--{_BOUNDARY}{head.format(name)}".encode() + content + b"\r\n" for name, content in files]
        return cls(b"".join(parts) + f"--{_BOUNDARY}--\r\n".encode(), slices or len(files))


HEADERS = {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}


@dataclass(frozen=True, slots=True)
class Answer:
    """began: by time.monotonic. status: 0 where no answer came; `said` is then the exception's name, and else
    the error's code. retry: Retry-After was given. whole: all slices were answered."""

    began: float
    seconds: float
    slices: int
    status: int
    said: str
    retry: bool
    whole: bool

    @property
    def turned_away(self) -> bool:
        """Told to come back, or that nobody is there: nothing was accepted."""
        return self.said == "ConnectError" or (self.status in (503, 507) and self.retry)

    @property
    def lost(self) -> bool:
        """Accepted and not answered, or not as if nothing had happened."""
        return not self.turned_away and not (self.status == 200 and self.whole)


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
        """Process ids of those that decode: the forkserver's children."""
        return [worker for helper in children(self.process.pid) for worker in children(helper)]

    def leftovers(self) -> list[Path]:
        """What lies in the temporary folder, but for what starting a process needs."""
        return [path for path in self.temporary.iterdir() if path.name.startswith("gliascope-")]

    def taken(self) -> float:
        """Slices that the server counts as taken and not yet answered."""
        lines = self.client.get("/metrics").text.splitlines()
        return float(next(line for line in lines if line.startswith("gliascope_queue_slices ")).split()[1])

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """Tell it to end, and wait until it has."""
        self.process.send_signal(by)
        return self.process.wait(SECONDS)


@contextmanager
def serving(bundle: Path, temporary: Path, **settings: object) -> Iterator[Server]:
    """A server with these settings, killed at last if it still lives."""
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
    """So many clients that send one random body after the other, until the block is left; their answers.

    Leaving waits for those that are on their way.
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

    def told(status: int, said: str, retry: bool = False, whole: bool = False) -> Answer:
        return Answer(began, time.monotonic() - began, body.slices, status, said, retry, whole)

    try:
        response = await client.post("/v1/predict", content=body.content)
        content = response.json()
    except (httpx2.HTTPError, ValueError) as error:
        return told(0, type(error).__name__)
    if response.status_code == 200:
        return told(200, "", whole=len(content["slices"]) == body.slices and not content["rejects"])
    return told(response.status_code, content["error"]["code"], "retry-after" in response.headers)


def children(parent: int) -> list[int]:
    """Process ids of those whose parent it is."""
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
    """Whether the process has not ended."""
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False


def cpu_seconds(process: int) -> float:
    """User and system time so far; 0 where it has ended."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
