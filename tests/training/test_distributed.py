from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from processes import SAME, assert_equal_to_rounding

from gliascope.errors import RecipeError, RunError
from gliascope.recipes import load_recipe
from gliascope.splits.split import SUBSETS
from gliascope.training import batches as module
from gliascope.training.batches import Batches
from gliascope.training.data import Subset, TrainingData
from gliascope.training.distributed import create_fabric
from gliascope.training.run import train


@pytest.mark.parametrize("cache", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_processes_give_the_weights_of_one(prepared, tmp_path: Path, cache: bool) -> None:
    recipe = load_recipe("quick", SAME)
    train(recipe, prepared.split, prepared.store, tmp_path / "one", cache=cache)
    run = train(recipe, prepared.split, prepared.store, tmp_path / "two", devices=2, cache=cache)
    assert run.record.environment["processes"] == 2
    assert_equal_to_rounding(tmp_path / "one", tmp_path / "two")


@pytest.mark.parametrize("devices", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_batches_in_parts_give_the_weights_of_whole_ones(prepared, tmp_path: Path, devices: int) -> None:
    """The head's penalty included, and mixup where one process draws the partners."""
    alone = ("mixup=0.2",) if devices == 1 else ()
    recipe = load_recipe("quick", (*SAME, *alone))
    train(recipe, prepared.split, prepared.store, tmp_path / "whole")
    parts = load_recipe("quick", (*SAME, *alone, "stages.0.accumulate=3"))
    train(parts, prepared.split, prepared.store, tmp_path / "parts", devices=devices)
    assert_equal_to_rounding(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize(
    ("override", "processes", "told"),
    [
        ("stages.0.batch_size=1", 2, "stage 1 has batches of 1, too few for 2 processes"),
        ("stages.0.accumulate=8", 2, "stage 1 has batches of 8, too few for 2 processes"),
        ("stages.0.batch_size=44", 20, "slices to validate or watch are too few for 20 processes"),
    ],
)
def test_too_little_to_share_is_an_error(prepared, override: str, processes: int, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        batches(prepared, override, processes, 0)


def test_processes_share_what_is_scored(prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SCORING_BATCH", 5)
    part = Subset(np.arange(19), np.zeros(19, dtype=np.int64), list("abcdefghijklmnopqrs"))
    scored = [batches(prepared, "seed=0", 2, rank).scoring_batches(part) for rank in range(2)]
    assert [[len(piece) for piece in pieces] for pieces in scored] == [[5, 5], [9]]
    assert sorted(np.concatenate(scored[0] + scored[1])) == list(range(19))


def batches(prepared, override: str, processes: int, rank: int) -> Batches:
    recipe = load_recipe("quick", (*SAME, override))
    parts = (Subset.from_split(prepared.split, prepared.store, name) for name in SUBSETS)
    fabric = SimpleNamespace(world_size=processes, global_rank=rank)
    return Batches(fabric, TrainingData(recipe, prepared.store, 4, *parts), 0)


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(RunError, match="--devices 3: this machine has 2"):
        create_fabric(3)
