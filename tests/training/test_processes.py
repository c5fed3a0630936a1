import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import SAME, assert_equal_to_rounding

from gliascope.data.split import write_splits
from gliascope.errors import RunError
from gliascope.recipes import load_recipe
from gliascope.training.processes import create_fabric
from gliascope.training.run import train


@pytest.mark.parametrize("cache", [True, False])
def test_two_processes_give_the_weights_of_one(prepared, tmp_path: Path, cache: bool) -> None:
    recipe = load_recipe("quick", SAME)
    train(recipe, prepared.split, prepared.store, tmp_path / "one", cache=cache)
    run = train(recipe, prepared.split, prepared.store, tmp_path / "two", devices=2, cache=cache)
    assert run.record.environment["processes"] == 2
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("devices", [1, 2])
def test_batches_in_parts_give_the_weights_of_whole_ones(prepared, tmp_path: Path, devices: int) -> None:
    """The head's penalty included, and mixup where one process draws the partners."""
    alone = ("mixup=0.2",) if devices == 1 else ()
    recipe = load_recipe("quick", (*SAME, *alone))
    train(recipe, prepared.split, prepared.store, tmp_path / "whole")
    parts = load_recipe("quick", (*SAME, *alone, "stages.0.accumulate=3"))
    train(parts, prepared.split, prepared.store, tmp_path / "parts", devices=devices)
    assert_equal_to_rounding(tmp_path / "whole", tmp_path / "parts")


def test_torchrun_gives_the_weights_of_one(prepared, tmp_path: Path) -> None:
    recipe = load_recipe("quick", SAME)
    train(recipe, prepared.split, prepared.store, tmp_path / "one")
    prepared.catalog.write(tmp_path / "catalog.parquet")
    write_splits([prepared.split], tmp_path / "split.parquet")
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m")
    arguments = ("train", tmp_path / "catalog.parquet", tmp_path / "split.parquet", "--out", tmp_path / "two")
    sets = [word for override in SAME for word in ("--set", override)]
    done = subprocess.run(
        [*launch, "gliascope", *map(str, arguments), *sets],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")
    assert (tmp_path / "two" / "model" / "model.onnx").exists()


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(RunError, match="--devices 3: this machine has 2"):
        create_fabric(3)
