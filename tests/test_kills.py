"""Killed with SIGKILL in the middle of the work, and started again: the same end, and nothing done twice."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors import safe_open
from tiny import TINY

from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.runtime.resumable_map import MAX_CHUNK_FILES
from gliascope.splits.split import split, write_splits

SLICES = 800
SETS = [argument for override in (*TINY, "stages.0.epochs=4") for argument in ("--set", override)]
# Exporting takes ten seconds and has tests of its own.
PROGRAM = """
import sys
from pathlib import Path
if sys.argv[1] == "train":
    from gliascope.inference.bundle import Bundle
    from gliascope.training import run
    model = Bundle.load(Path(sys.argv.pop()))
    run.export = lambda *_: model
from gliascope.cli import main
main()
"""


@pytest.fixture
def source(make_source: Callable[..., Path]) -> Path:
    return make_source(
        {f"{part}/{label}": SLICES // 4 for part in ("Training", "Testing") for label in ("yes", "no")}
    )


def start(arguments: Sequence[object], cache: Path) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    environment = os.environ | {"GLIASCOPE_CACHE": str(cache)}
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment
    )


def kill(arguments: Sequence[object], cache: Path, done: Callable[[], int], at: int) -> None:
    """Kill a command as soon as `at` of its work is done."""
    process, deadline = start(arguments, cache), time.monotonic() + 60
    while done() < at:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.communicate()


def finish(arguments: Sequence[object], cache: Path) -> str:
    process = start(arguments, cache)
    errors = process.communicate(timeout=120)[1]
    assert process.returncode == 0, errors
    return errors


def hidden(place: Path) -> list[Path]:
    return list(place.rglob(".*"))


def test_scan(source: Path, tmp_path: Path) -> None:
    arguments, out = ["scan", source, "--out"], tmp_path / "killed" / "catalog.parquet"
    for at in (1, 3, 5):
        kept = out.parent / ".catalog.parquet.unfinished" / ".unfinished"
        kill([*arguments, out], tmp_path, lambda kept=kept: len(list(kept.glob("[!.]*"))), at)
    done = re.search(r"scan: (\d+) of 800 files were done", finish([*arguments, out], tmp_path))
    assert int(done[1]) >= 500
    finish([*arguments, tmp_path / "whole" / "catalog.parquet"], tmp_path)
    for name in ("catalog.parquet/part-000000.parquet", "catalog.rejects.parquet"):
        assert (out.parent / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert pl.read_parquet(out)["path"].n_unique() == SLICES
    assert not hidden(tmp_path / "killed")


def test_store(source: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "catalog.parquet"
    scan([source]).write(catalog)
    arguments, cache = ["store", catalog], tmp_path / "killed"

    def stored() -> int:
        return sum(sum(path.read_bytes()) for path in cache.rglob("pixels.done"))

    for at in (100, 300, 500):
        kill(arguments, cache, stored, at)
    done = re.search(r"store: (\d+) of 800 slices were done", finish(arguments, cache))
    assert int(done[1]) >= 500
    finish(arguments, tmp_path / "whole")
    (killed,), (whole,) = (list((tmp_path / name).rglob("pixels.npy")) for name in ("killed", "whole"))
    assert killed.read_bytes() == whole.read_bytes()
    assert not hidden(cache)


@pytest.mark.slow
def test_predict(source: Path, bundle: Bundle, tmp_path: Path) -> None:
    bundle.write(tmp_path / "bundle")
    arguments, out = ["predict", tmp_path / "bundle", source, "--out"], tmp_path / "killed" / "f.jsonl"
    kept = out.parent / ".f.jsonl.unfinished" / ".unfinished"
    measured = (
        SLICES // MAX_CHUNK_FILES
    )  # blocks of the pass before, in which files may say the scale of their series
    for at in (1, 3, 5):
        kill([*arguments, out], tmp_path, lambda: len(list(kept.glob("[!.]*"))), measured + at)
    done = re.search(r"predict: (\d+) of 800 files were done", finish([*arguments, out], tmp_path))
    assert int(done[1]) >= 500
    finish([*arguments, tmp_path / "whole.jsonl"], tmp_path)
    assert out.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    files = [json.loads(line)["file"] for line in out.read_text().splitlines()]
    assert len(files) == len(set(files)) == SLICES
    assert not hidden(tmp_path / "killed")


@pytest.mark.slow
def test_train(official_source: Path, bundle: Bundle, tmp_path: Path) -> None:
    catalog = scan([official_source])
    catalog.write(tmp_path / "catalog.parquet")
    write_splits(split(catalog), tmp_path / "split.parquet")
    bundle.write(tmp_path / "bundle")
    tables = (tmp_path / "catalog.parquet", tmp_path / "split.parquet")
    killed, whole = ["killed", tmp_path / "run"], ["whole", tmp_path / "whole"]

    def arguments(name: str, folder: Path) -> list[object]:
        return ["train", *tables, "--out", folder, *SETS, tmp_path / "bundle"]

    def epochs() -> int:
        return (
            len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) - 1
            if (tmp_path / "run" / "metrics.csv").exists()
            else 0
        )

    for at in (1, 3):
        kill(arguments(*killed), tmp_path / "a", epochs, at)
    said = finish(arguments(*killed), tmp_path / "a")
    assert [line for line in said.splitlines() if line.startswith(("epoch 1:", "epoch 2:"))] == []
    finish(arguments(*whole), tmp_path / "b")
    for name in ("chosen", "last"):
        tensors = []
        for folder in ("run", "whole"):
            with safe_open(tmp_path / folder / f"{name}.safetensors", framework="np") as file:
                tensors.append({key: file.get_tensor(key) for key in file.keys()})  # noqa: SIM118
        assert all(np.array_equal(tensors[0][key], tensors[1][key]) for key in tensors[0])
    for name in ("model/model.onnx", "model/bundle.json", "model/calibrator.npz"):
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    shutil.rmtree(tmp_path / "run" / "tensorboard")
    assert not hidden(tmp_path / "run")
