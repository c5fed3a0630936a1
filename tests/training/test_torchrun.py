"""torchrun over two hosts: two network namespaces of this machine, each with an address of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from processes import SAME, assert_equal_to_rounding

from gliascope.recipes import load_recipe
from gliascope.splits.split import write_splits
from gliascope.training.run import train

ADDRESSES = ("10.77.31.1", "10.77.31.2")
PORT = 29_617
FOUR_EPOCHS = (*SAME, "stages.0.epochs=4")
pytestmark = pytest.mark.slow


class Host(NamedTuple):
    name: str  # of the network namespace
    link: str  # its end of the cable
    address: str


@pytest.fixture
def hosts() -> Iterator[tuple[Host, Host]]:
    """Two network namespaces, joined by a cable."""
    names = (f"gliascope-{os.getpid()}-{side}" for side in "ab")
    one, other = (Host(*facts) for facts in zip(names, ("veth-a", "veth-b"), ADDRESSES, strict=True))
    if shutil.which("ip") is None or _ip("netns", "add", one.name) != 0:
        pytest.skip("network namespaces need root, and `ip` of iproute2")
    try:
        cable = ("link", "add", one.link, "type", "veth", "peer", other.link, "netns", other.name)
        assert _ip("netns", "add", other.name) == _ip("-n", one.name, *cable) == 0
        for host in (one, other):
            assert _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", host.link) == 0
            assert _ip("-n", host.name, "link", "set", host.link, "up") == 0
            assert _ip("-n", host.name, "link", "set", "lo", "up") == 0
        yield one, other
    finally:
        for host in (one, other):
            _ip("netns", "delete", host.name)


def _ip(*arguments: str) -> int:
    return subprocess.run(["ip", *arguments], capture_output=True).returncode


@pytest.mark.timeout(600)
def test_hosts_with_caches_of_their_own_give_the_weights_of_one_process(
    hosts, prepared, tmp_path: Path
) -> None:
    """Also where a process is killed within an epoch: torchrun restarts all, from the last checkpoint."""
    train(load_recipe("quick", FOUR_EPOCHS), prepared.split, prepared.store, tmp_path / "one")
    launched = _launch_all(hosts, prepared, tmp_path)
    _wait_for(tmp_path / "two" / "last.safetensors", launched)
    _kill_worker(launched[1].pid)
    _finish(launched, tmp_path)
    assert "Sending process" in (tmp_path / f"{hosts[0].name}.log").read_text()  # it was told of the death
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")


def _launch_all(hosts: tuple[Host, Host], prepared, folder: Path) -> list[subprocess.Popen[bytes]]:
    prepared.catalog.write(folder / "catalog.parquet")
    write_splits([prepared.split], folder / "split.parquet")
    return [_launch(host, folder) for host in hosts]


def _finish(launched: list[subprocess.Popen[bytes]], folder: Path) -> None:
    codes = [process.wait(300) for process in launched]
    assert codes == [0, 0], "\n".join(log.read_text()[-3000:] for log in folder.glob("*.log"))


def _launch(host: Host, folder: Path) -> subprocess.Popen[bytes]:
    """torchrun on one of the hosts; the first one is where they meet."""
    sets = [word for override in FOUR_EPOCHS for word in ("--set", override)]
    command = [
        "ip", "netns", "exec", host.name, sys.executable, "-m", "torch.distributed.run",
        "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:{PORT}", "--rdzv-id", "test",
        # Namespaces share the machine's name, by which torchrun would tell who is who.
        "--local-addr", host.address, "--rdzv-conf", f"is_host={int(host.address == ADDRESSES[0])}",
        "-m", "gliascope", "train", str(folder / "catalog.parquet"), str(folder / "split.parquet"),
        "--out", str(folder / "two"), *sets,
    ]  # fmt: skip
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "GLIASCOPE_CACHE": str(folder / f"cache of {host.name}"),  # hosts share results alone
        "GLOO_SOCKET_IFNAME": host.link,
        # Else a restarted process may read where the dead one could be reached, and fail, until none is left.
        "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    }
    with (folder / f"{host.name}.log").open("w") as log:
        return subprocess.Popen(command, env=environment, stdout=log, stderr=subprocess.STDOUT)


def _wait_for(path: Path, processes: list[subprocess.Popen[bytes]]) -> None:
    end = time.monotonic() + 300
    while not path.exists():
        assert all(process.poll() is None for process in processes)
        assert time.monotonic() < end
        time.sleep(0.02)


def _kill_worker(launcher: int) -> None:
    """Kill the process that torchrun started."""
    children = Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()
    os.kill(int(children[0]), signal.SIGKILL)
