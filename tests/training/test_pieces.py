"""Networks in pieces over two processes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from processes import SAME, assert_equal_to_rounding

from gliascope.data.split import write_splits
from gliascope.errors import RecipeError, RunError
from gliascope.inference.bundle import Bundle
from gliascope.models.classifier import build_classifier
from gliascope.models.cut import cut
from gliascope.recipes import load_recipe
from gliascope.training import loop, pieces
from gliascope.training.processes import create_fabric
from gliascope.training.run import train

STAGES = (
    "stages=[{freeze: null, epochs: 1, batch_size: 8, optimizer: sgd, lr: 0.001, batch_norm: frozen},"
    "{freeze: backbone.layer2, epochs: 3, batch_size: 8, optimizer: sgd, lr: 0.001, batch_norm: frozen,"
    " momentum: 0.9, accumulate: 2}]"
)
NETWORK = ("backbone=residual18", "weights=random")
RECIPE = (*(value for value in SAME if not value.startswith("stages")), STAGES, *NETWORK)


@pytest.mark.slow
def test_pieces_give_the_weights_of_the_whole(
    prepared, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Averages and penalty included; begun by one process, and taken up in pieces within the second stage."""
    recipe, saves = load_recipe("quick", RECIPE), []
    save = loop.save_progress

    def stopping(*args, **options) -> None:
        save(*args, **options)
        saves.append(1)
        if len(saves) == 2:
            raise KeyboardInterrupt

    train(recipe, prepared.split, prepared.store, tmp_path / "one")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "save_progress", stopping)
        train(recipe, prepared.split, prepared.store, tmp_path / "two")
    bundle.write(tmp_path / "bundle")
    told = _torchrun(prepared, tmp_path)
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")
    told_cuts = re.findall(r"cut into (\d+), of which (\d\.\d+) is here", told)
    assert len(told_cuts) == 4  # the network and its average, in both processes
    for number, share in told_cuts:
        assert int(number) > 1
        assert float(share) == pytest.approx(0.5, abs=0.02)


def _torchrun(prepared, folder: Path) -> str:
    prepared.catalog.write(folder / "catalog.parquet")
    write_splits([prepared.split], folder / "split.parquet")
    launch = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    command = [
        Path(__file__).with_name("sharded.py"),
        "train",
        folder / "catalog.parquet",
        folder / "split.parquet",
    ]
    sets = [word for override in RECIPE for word in ("--set", override)]
    done = subprocess.run(
        [*launch, *map(str, command), "--out", str(folder / "two"), "--shard", *sets, str(folder / "bundle")],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_network_that_torch_fx_would_tear_apart_is_refused() -> None:
    recipe = load_recipe("quick", ("backbone=convnext_atto", "weights=random", "preprocessing.size=64"))
    tail = cut(build_classifier(recipe, 4), "backbone.stages.1")[1]
    with pytest.raises(RecipeError, match="--shard cannot cut this backbone behind what is frozen"):
        pieces._cut(tail, {"data_parallel": None})


def test_one_process_cuts_nothing() -> None:
    with pytest.raises(RunError, match="--shard cuts the network over processes that torchrun starts"):
        create_fabric(shard=True)
