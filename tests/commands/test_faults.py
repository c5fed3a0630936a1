"""What goes wrong around a job: disks, files, clocks and other processes."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny import TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.inference.bundle import Bundle
from gliascope.runtime.folder_lock import file_lock, folder_lock

SETS = [argument for override in TINY for argument in ("--set", override)]
Make = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("same_export")


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A file system that nobody may write, root neither."""
    disk = tmp_path / "read-only"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("mounting a tmpfs needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def gliascope(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(map(str, arguments)))
    if done.exit_code == 1 and done.exception:
        raise done.exception
    return done.exit_code, done.stderr


def fill(disk: Path, left: int) -> Path:
    """A file that leaves so many bytes free."""
    status = os.statvfs(disk)
    path = disk / "ballast"
    path.write_bytes(bytes(status.f_bavail * status.f_frsize - left))
    return path


@pytest.fixture
def tables(official_source: Path, tmp_path: Path) -> tuple[Path, Path]:
    """A catalogue and a split."""
    catalog, split = tmp_path / "catalog.parquet", tmp_path / "split.parquet"
    assert gliascope("scan", official_source, "--out", catalog)[0] == 0
    assert gliascope("split", catalog, "--out", split)[0] == 0
    return catalog, split


def test_a_full_disk_under_scan_and_predict(
    make_source: Make, bundle: Bundle, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIASCOPE_CORES", "1")  # of two blocks at once, either may find no room, or both
    source = make_source({"yes": 120, "no": 120})
    bundle.write(tmp_path / "bundle")
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    for arguments, left in (
        (("scan", source, "--out", small_disk / "c.parquet"), 1500 << 10),  # one block, and no more
        (("predict", tmp_path / "bundle", source, "--out", small_disk / "f.jsonl"), 60 << 10),
    ):
        ballast = fill(small_disk, left)
        code, errors = gliascope(*arguments)
        assert code == 2
        assert "No space left" in errors
        assert len(errors.splitlines()) == 1
        assert not [path for path in small_disk.rglob("*") if path.name.endswith(".tmp")]
        assert not (small_disk / arguments[-1]).exists()
        ballast.unlink()
        subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        code, errors = gliascope(*arguments)
        assert code == 0
        assert "100 of 240 files were done before" in errors
        subprocess.run(["umount", str(small_disk)], check=True)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(small_disk)], check=True)


def test_a_full_disk_under_store_and_train(
    tables: tuple[Path, Path], small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = ("train", *tables, "--out", small_disk / "run", *SETS)
    code, errors = gliascope(*run)
    assert code == 2
    assert "No space left" in errors or "cannot be written" in errors
    subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
    assert gliascope(*run)[0] == 0
    monkeypatch.setenv("GLIASCOPE_CACHE", str(small_disk / "cache"))
    fill(small_disk, 50 << 10)
    code, errors = gliascope("store", tables[0], *SETS)
    assert code == 2
    assert "No space left" in errors
    assert not list((small_disk / "cache").rglob("*.npy"))


def test_files_that_vanish_or_change_between_scan_and_store(
    tables: tuple[Path, Path], official_source: Path, tmp_path: Path
) -> None:
    (official_source / "Testing" / "glioma" / "000.png").unlink()
    shutil.copy(official_source / "Testing/glioma/001.png", official_source / "Testing/notumor/000.png")
    run = tmp_path / "run"
    code, errors = gliascope("train", *tables, "--out", run, *SETS)
    assert code == 0, errors
    assert "Testing/glioma/000.png (not found)" in errors
    assert "Testing/notumor/000.png (changed)" in errors
    assert "2 of 64 slices are missing from the store" in errors
    assert "protocol official goes on without 2 slices: 0 of train, 0 of val, 2 of test" in errors
    code, errors = gliascope("evaluate", run, *tables, "--out", tmp_path / "out")
    assert code == 0, errors
    shutil.rmtree(official_source / "Training" / "glioma")
    shutil.rmtree(tmp_path / "cache")
    code, errors = gliascope("train", *tables, "--out", tmp_path / "other", *SETS)
    assert code == 2
    assert "'glioma' is in test but not in training" in errors


def test_clocks_that_jump_change_nothing(
    tables: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    run = ("train", *tables, "--out", tmp_path / "run", *SETS)
    with monkeypatch.context() as patch:
        patch.setattr("gliascope.training.run.export_bundle", stop)
        assert gliascope(*run)[0] == 130
    for number, path in enumerate(tmp_path.rglob("*")):
        os.utime(path, (number, 10**10 - number))  # some long ago, some in the future, all out of order
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now - 10**6)
    monkeypatch.setattr("gliascope.training.stage.StageTraining._train", stop)
    monkeypatch.setattr("gliascope.training.activations.Activations._batch", stop)
    monkeypatch.setattr("gliascope.store.store._store", stop)
    assert gliascope(*run)[0] == 0  # all was found


@pytest.mark.parametrize("command", ["scan", "run", "train", "predict", "tune"])
def test_output_that_cannot_be_written_is_one_line(
    tables: tuple[Path, Path],
    official_source: Path,
    bundle: Bundle,
    read_only: Path,
    tmp_path: Path,
    command: str,
) -> None:
    bundle.write(tmp_path / "bundle")
    (tmp_path / "space.yaml").write_text("fields:\n  stages.0.lr: {low: 0.001, high: 0.01}\n")
    arguments = {
        "scan": (official_source, "--out", read_only / "c.parquet"),
        "run": (official_source, "--out", read_only / "out", *SETS),
        "train": (*tables, "--out", read_only / "run", *SETS),
        "predict": (tmp_path / "bundle", official_source, "--out", read_only / "f.jsonl"),
        "tune": (*tables, "--space", tmp_path / "space.yaml", "--out", read_only / "out", *SETS),
    }[command]
    code, errors = gliascope(command, *arguments)
    assert code == 2
    assert "Read-only file system" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("command", ["scan", "run", "train", "predict"])
def test_the_second_process_is_refused_in_one_line(
    tables: tuple[Path, Path], official_source: Path, bundle: Bundle, tmp_path: Path, command: str
) -> None:
    bundle.write(tmp_path / "bundle")
    out = tmp_path / "out"
    arguments = {
        "scan": (official_source, "--out", out),
        "run": (official_source, "--out", out, *SETS),
        "train": (*tables, "--out", out, *SETS),
        "predict": (tmp_path / "bundle", official_source, "--out", out),
    }[command]
    with file_lock(out) if command in ("scan", "predict") else folder_lock(out):
        code, errors = gliascope(command, *arguments)
    assert code == 2
    assert f"process {os.getpid()} on " in errors
    assert len(errors.splitlines()) == 1
    assert not out.exists()
