"""Faults of a server under load, and whether all requests that it had accepted were answered.

Each takes a running server, or what is needed for one, and bodies to keep it busy with, and raises
AssertionError where the server did not do as it promises. Lost is what was accepted and not answered, or
answered otherwise than without the fault.
"""

import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from pathlib import Path

from loading import SECONDS, Answer, Body, Server, alive, busy, children, serving
from misbehaving import begin_upload, fill, follow, post, status_of, submit

Bodies = Sequence[Body]


@dataclass(frozen=True, slots=True)
class FaultResult:
    """Result of a fault: counts of answers by kind, and the number of requests that were lost."""

    answers: Counter[str]
    lost: int
    note: str


@dataclass(frozen=True, slots=True)
class Setting:
    """bundle: that is served, from a copy. folder: for it and what the server needs. clients: at a time.
    rounds: of a fault that can be repeated. pause: seconds between them. long: takes a while."""

    bundle: Path
    folder: Path
    bodies: Bodies
    long: Body
    clients: int
    rounds: int
    pause: float

    def copy(self) -> Path:
        """Copy the bundle, so that the copy may be damaged."""
        return Path(shutil.copytree(self.bundle, self.folder / "bundle"))


def worker_killed(setting: Setting) -> FaultResult:
    """One decoding process after the other is killed while it is at work."""
    with serving(setting.bundle, setting.folder / "t") as server:

        def kill() -> None:
            os.kill(random.choice(server.workers()), signal.SIGKILL)

        return _meanwhile(setting, server, kill)


def all_workers_killed(setting: Setting) -> FaultResult:
    """All decoding processes are killed at once, again and again."""
    with serving(setting.bundle, setting.folder / "t") as server:

        def kill() -> None:
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)

        return _meanwhile(setting, server, kill)


def bundle_damaged(setting: Setting) -> FaultResult:
    """The bundle is damaged in three ways and reloaded; at the end it is restored."""
    bundle = setting.copy()
    graph = (bundle / "model.onnx").read_bytes()
    damaged = [b"", graph[: len(graph) // 2], b"\0" * len(graph)]
    with serving(bundle, setting.folder / "t") as server:
        before = server.client.get("/v1/model").json()["sha256"]

        def reload(content: bytes) -> str:
            (bundle / "model.onnx").write_bytes(content)
            outcome: str = server.client.post("/v1/models/reload").json()["models"]["model"]
            assert server.client.get("/v1/model").json()["sha256"] == before
            return outcome.partition(":")[0]

        outcomes: list[str] = []
        result = _meanwhile(setting, server, lambda: outcomes.append(reload(damaged[len(outcomes) % 3])))
        assert set(outcomes) == {"failed"}, outcomes
        assert reload(graph) == "unchanged"
    return result


def disk_full(setting: Setting) -> FaultResult:
    """The temporary folder's disk is full, then free again, and so on. Needs root, for a disk of its own."""
    temporary = setting.folder / "t"
    temporary.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "none", temporary], check=True)
    try:
        with serving(setting.bundle, temporary) as server:
            filler = temporary / "filler"

            def fill_or_free() -> None:
                if filler.exists():
                    filler.unlink()
                else:
                    fill(filler)

            result = _meanwhile(setting, server, fill_or_free)
            filler.unlink(missing_ok=True)
            assert post(server, setting.bodies[0]) == 200
            assert server.leftovers() == []
            assert result.answers["507"] > 0, result
    finally:
        subprocess.run(["umount", "--lazy", temporary], check=True)
    return result


def terminated(setting: Setting) -> FaultResult:
    """SIGTERM while all clients ask and a job waits: what was accepted is answered, and nothing is left."""
    return _ended(setting, lambda server: server.process.send_signal(signal.SIGTERM))


def all_terminated(setting: Setting) -> FaultResult:
    """SIGTERM to all processes of the server at once, as some supervisors send it."""
    return _ended(setting, lambda server: os.killpg(server.process.pid, signal.SIGTERM))


def killed(setting: Setting) -> FaultResult:
    """SIGKILL while all clients ask: its processes end too, and the next start removes what lies there."""
    with serving(setting.bundle, setting.folder / "t") as server:
        helpers = children(server.process.pid)
        processes = helpers + server.workers()

        async def kill() -> None:
            async with busy(server.address, setting.bodies, setting.clients):
                await asyncio.sleep(setting.pause)
                server.end(signal.SIGKILL)

        asyncio.run(kill())
        left = len(server.leftovers())
        assert left > 0, "nothing was under way"
        _until(lambda: not any(map(alive, processes)), "its processes live on")
    with serving(setting.bundle, setting.folder / "t") as server:
        assert server.leftovers() == []
        answers = asyncio.run(_while(setting, server, asyncio.sleep(setting.pause)))
    result = _result(answers)
    return FaultResult(
        result.answers, result.lost, f"{left} folders were left, and removed at the next start"
    )


def bundle_replaced(setting: Setting) -> FaultResult:
    """The bundle is replaced by another and reloaded, again and again."""
    bundle = setting.copy()
    with serving(bundle, setting.folder / "t") as server:
        rounds = iter(range(setting.rounds))

        def replace() -> None:
            info = json.loads((bundle / "bundle.json").read_text())
            info["recipe"] = f"round {next(rounds)}"
            (bundle / "bundle.json").write_text(json.dumps(info))
            assert server.client.post("/v1/models/reload").json()["models"] == {"model": "reloaded"}
            assert server.client.get("/v1/model").json()["recipe"] == info["recipe"]

        return _meanwhile(setting, server, replace)


def broken_off(setting: Setting) -> FaultResult:
    """Clients that end the connection in the middle of their files."""
    half = setting.bodies[0].content[: len(setting.bodies[0].content) // 2]
    with serving(setting.bundle, setting.folder / "t") as server:

        def break_off() -> None:
            for _ in range(setting.clients):
                with begin_upload(server) as connection:
                    connection.sendall(half)

        result = _meanwhile(setting, server, break_off)
        _until(lambda: server.taken() == 0 and server.leftovers() == [], "places or files are kept")
    return result


def too_slow(setting: Setting) -> FaultResult:
    """Clients that send a byte now and then get an error after the time limit; other clients are answered."""
    with serving(setting.bundle, setting.folder / "t", upload_seconds=2) as server:
        slow = [begin_upload(server) for _ in range(4 * setting.clients)]

        rest = iter(setting.bodies[0].content)

        def a_byte() -> None:
            byte = bytes([next(rest)])
            for connection in slow:
                connection.sendall(byte)

        result = _meanwhile(setting, server, a_byte)
        answers = Counter(status_of(connection) for connection in slow)
        _until(lambda: server.taken() == 0 and server.leftovers() == [], "places or files are kept")
    assert set(answers) == {"408"}, answers
    return FaultResult(result.answers, result.lost, f"the {len(slow)} slow ones: 408")


FAULTS: tuple[Callable[[Setting], FaultResult], ...] = (
    worker_killed,
    all_workers_killed,
    disk_full,
    terminated,
    all_terminated,
    killed,
    bundle_damaged,
    bundle_replaced,
    broken_off,
    too_slow,
)


def _ended(setting: Setting, tell: Callable[[Server], None]) -> FaultResult:
    with serving(setting.bundle, setting.folder / "t") as server:

        async def end() -> tuple[list[Answer], float, str]:
            async with busy(server.address, setting.bodies, setting.clients) as answers:
                await asyncio.sleep(setting.pause)
                job = await asyncio.to_thread(submit, server, setting.long)
                signalled = time.monotonic()
                tell(server)
                state = await asyncio.to_thread(follow, server, job)
                await asyncio.to_thread(server.process.wait, SECONDS)
                took = time.monotonic() - signalled
            # Who asks a server that is about to close may find the door shut in mid-sentence.
            return [one for one in answers if one.began < signalled or one.status], took, state

        answers, took, state = asyncio.run(end())
        code = server.process.returncode
        assert code == 0, server.log.read_text()
        assert server.leftovers() == []
    lost = sum(one.lost for one in answers) + (state != "done")
    return FaultResult(
        _count(answers), lost, f"exit code {code} after {took:.1f} s; the job: {state}; nothing left"
    )


def _meanwhile(setting: Setting, server: Server, fault: Callable[[], None]) -> FaultResult:
    """Cause a fault while all clients send requests; afterwards the server must work as before."""

    async def happen() -> None:
        for _ in range(setting.rounds):
            await asyncio.sleep(setting.pause)
            await asyncio.to_thread(fault)
        await asyncio.sleep(setting.pause)

    answers = asyncio.run(_while(setting, server, happen()))
    assert server.process.poll() is None, server.log.read_text()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()
    assert post(server, setting.bodies[0]) == 200
    return _result(answers)


async def _while(setting: Setting, server: Server, work: Coroutine[None, None, None]) -> list[Answer]:
    async with busy(server.address, setting.bodies, setting.clients) as answers:
        await work
    return answers


def _result(answers: Sequence[Answer]) -> FaultResult:
    assert any(one.status == 200 for one in answers), _count(answers)
    return FaultResult(_count(answers), sum(one.lost for one in answers), "")


def _count(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(str(one.status or one.error) for one in answers)


def _until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
