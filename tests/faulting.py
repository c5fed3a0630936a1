"""What can go wrong with a server, and whether all that it had accepted was answered.

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
class Told:
    """What came of a fault. answers: by what they were."""

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
        """The bundle's, that may be damaged."""
        return Path(shutil.copytree(self.bundle, self.folder / "bundle"))


def worker_killed(setting: Setting) -> Told:
    """One decoding process after the other is killed while it is at work."""
    with serving(setting.bundle, setting.folder / "t") as server:

        def kill() -> None:
            os.kill(random.choice(server.workers()), signal.SIGKILL)

        return _meanwhile(setting, server, kill)


def all_workers_killed(setting: Setting) -> Told:
    """All decoding processes are killed at once, again and again."""
    with serving(setting.bundle, setting.folder / "t") as server:

        def kill() -> None:
            for worker in server.workers():
                os.kill(worker, signal.SIGKILL)

        return _meanwhile(setting, server, kill)


def bundle_damaged(setting: Setting) -> Told:
    """The Bundle is damaged where it lies, in three ways, and loaded again; at last it is whole again."""
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
        told = _meanwhile(setting, server, lambda: outcomes.append(reload(damaged[len(outcomes) % 3])))
        assert set(outcomes) == {"failed"}, outcomes
        assert reload(graph) == "unchanged"
    return told


def disk_full(setting: Setting) -> Told:
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

            told = _meanwhile(setting, server, fill_or_free)
            filler.unlink(missing_ok=True)
            assert post(server, setting.bodies[0]) == 200
            assert server.leftovers() == []
            assert told.answers["507"] > 0, told
    finally:
        subprocess.run(["umount", "--lazy", temporary], check=True)
    return told


def told_to_end(setting: Setting) -> Told:
    """SIGTERM while all clients ask and a job waits: what was accepted is answered, and nothing is left."""
    return _ended(setting, lambda server: server.process.send_signal(signal.SIGTERM))


def all_told_to_end(setting: Setting) -> Told:
    """The same to all its processes at once, as some supervisors do it."""
    return _ended(setting, lambda server: os.killpg(server.process.pid, signal.SIGTERM))


def killed(setting: Setting) -> Told:
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
    told = _told(answers)
    return Told(told.answers, told.lost, f"{left} folders were left, and removed at the next start")


def bundle_replaced(setting: Setting) -> Told:
    """Another Bundle lies there each time, and is loaded."""
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


def broken_off(setting: Setting) -> Told:
    """Clients that end the connection in the middle of their files."""
    half = setting.bodies[0].content[: len(setting.bodies[0].content) // 2]
    with serving(setting.bundle, setting.folder / "t") as server:

        def break_off() -> None:
            for _ in range(setting.clients):
                with begin_upload(server) as connection:
                    connection.sendall(half)

        told = _meanwhile(setting, server, break_off)
        _until(lambda: server.taken() == 0 and server.leftovers() == [], "places or files are kept")
    return told


def too_slow(setting: Setting) -> Told:
    """Clients that send a byte now and then: the others are answered, and these are told after their time."""
    with serving(setting.bundle, setting.folder / "t", upload_seconds=2) as server:
        slow = [begin_upload(server) for _ in range(4 * setting.clients)]

        rest = iter(setting.bodies[0].content)

        def a_byte() -> None:
            byte = bytes([next(rest)])
            for connection in slow:
                connection.sendall(byte)

        told = _meanwhile(setting, server, a_byte)
        answers = Counter(status_of(connection) for connection in slow)
        _until(lambda: server.taken() == 0 and server.leftovers() == [], "places or files are kept")
    assert set(answers) == {"408"}, answers
    return Told(told.answers, told.lost, f"the {len(slow)} slow ones: 408")


FAULTS: tuple[Callable[[Setting], Told], ...] = (
    worker_killed,
    all_workers_killed,
    disk_full,
    told_to_end,
    all_told_to_end,
    killed,
    bundle_damaged,
    bundle_replaced,
    broken_off,
    too_slow,
)


def _ended(setting: Setting, tell: Callable[[Server], None]) -> Told:
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
    return Told(_count(answers), lost, f"exit code {code} after {took:.1f} s; the job: {state}; nothing left")


def _meanwhile(setting: Setting, server: Server, fault: Callable[[], None]) -> Told:
    """Let it happen while all clients ask; the server must then be as before."""

    async def happen() -> None:
        for _ in range(setting.rounds):
            await asyncio.sleep(setting.pause)
            await asyncio.to_thread(fault)
        await asyncio.sleep(setting.pause)

    answers = asyncio.run(_while(setting, server, happen()))
    assert server.process.poll() is None, server.log.read_text()
    assert "Traceback" not in server.log.read_text(), server.log.read_text()
    assert post(server, setting.bodies[0]) == 200
    return _told(answers)


async def _while(setting: Setting, server: Server, work: Coroutine[None, None, None]) -> list[Answer]:
    async with busy(server.address, setting.bodies, setting.clients) as answers:
        await work
    return answers


def _told(answers: Sequence[Answer]) -> Told:
    assert any(one.status == 200 for one in answers), _count(answers)
    return Told(_count(answers), sum(one.lost for one in answers), "")


def _count(answers: Sequence[Answer]) -> Counter[str]:
    return Counter(str(one.status or one.said) for one in answers)


def _until(true: Callable[[], bool], otherwise: str) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, otherwise
        time.sleep(0.05)
