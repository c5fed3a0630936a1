"""Training over two hosts: two network namespaces of this machine, each with an address of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from processes import SAME, assert_equal_to_rounding

from gliascope.data.parallel import Hosts
from gliascope.data.split import write_splits
from gliascope.recipes import load_recipe
from gliascope.training.batches import Batches
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
def test_hosts_with_caches_of_their_own_give_the_weights_of_one(hosts, prepared, tmp_path: Path) -> None:
    train(load_recipe("quick", SAME), prepared.split, prepared.store, tmp_path / "one")
    launched = _launch_all(hosts, prepared, tmp_path, SAME)
    _finish(launched, tmp_path)
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")


@pytest.mark.timeout(600)
def test_a_host_that_loses_its_process_costs_an_epoch_and_no_rounding(
    hosts, prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where each reads its part alone."""
    with monkeypatch.context() as patch:
        patch.setattr(Batches, "order", _as_two_hosts)
        train(load_recipe("quick", FOUR_EPOCHS), prepared.split, prepared.store, tmp_path / "one")
    launched = _launch_all(hosts, prepared, tmp_path, FOUR_EPOCHS, "--by-host")
    _wait_for(tmp_path / "two" / "last.safetensors", launched)
    held = [_held(tmp_path, host, prepared.store.key) for host in hosts]
    assert (held[0] != held[1]).all()
    assert abs(held[0].mean() - 0.5) < 0.02
    _kill_worker(launched[1].pid)
    _finish(launched, tmp_path)
    assert "Sending process" in (tmp_path / f"{hosts[0].name}.log").read_text()  # it was told of the death
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")


def _as_two_hosts(batches: Batches, epoch: int, order=Batches.order) -> list[tuple[NDArray, ...]]:
    """Batches of one process that hold what those of two hosts hold together."""
    both = copy(batches)
    both.hosts = Hosts(2)
    return [(np.concatenate(parts),) for parts in order(both, epoch)]


def _launch_all(
    hosts: tuple[Host, Host], prepared, folder: Path, recipe: tuple[str, ...], *options: str
) -> list[subprocess.Popen[bytes]]:
    prepared.catalog.write(folder / "catalog.parquet")
    write_splits([prepared.split], folder / "split.parquet")
    return [_launch(host, folder, recipe, *options) for host in hosts]


def _finish(launched: list[subprocess.Popen[bytes]], folder: Path) -> None:
    codes = [process.wait(300) for process in launched]
    assert codes == [0, 0], "\n".join(log.read_text()[-3000:] for log in folder.glob("*.log"))


def _held(folder: Path, host: Host, key: str) -> NDArray[np.bool_]:
    """Which slices a host's store holds."""
    (store,) = (folder / f"cache of {host.name}" / "store").iterdir()
    assert store.name == key
    return np.frombuffer((store / "pixels.done").read_bytes(), dtype=np.bool_)


def _launch(host: Host, folder: Path, recipe: tuple[str, ...], *options: str) -> subprocess.Popen[bytes]:
    """torchrun on one of the hosts; the first one is where they meet."""
    sets = [word for override in recipe for word in ("--set", override)]
    command = [
        "ip", "netns", "exec", host.name, sys.executable, "-m", "torch.distributed.run",
        "--nnodes", "2", "--nproc-per-node", "1", "--max-restarts", "3",
        "--rdzv-backend", "c10d", "--rdzv-endpoint", f"{ADDRESSES[0]}:{PORT}", "--rdzv-id", "test",
        # Namespaces share the machine's name, by which torchrun would tell who is who.
        "--local-addr", host.address, "--rdzv-conf", f"is_host={int(host.address == ADDRESSES[0])}",
        "-m", "gliascope", "train", str(folder / "catalog.parquet"), str(folder / "split.parquet"),
        "--out", str(folder / "two"), *sets, *options,
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
