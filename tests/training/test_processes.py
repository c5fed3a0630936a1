from pathlib import Path
from types import SimpleNamespace

import pytest
from processes import SAME, assert_equal_to_rounding

from gliascope.data.split import PARTS
from gliascope.errors import RecipeError, RunError
from gliascope.recipes import load_recipe
from gliascope.training.batches import Batches
from gliascope.training.material import Material, Part
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


def test_batches_too_small_to_share_are_an_error(prepared) -> None:
    recipe = load_recipe("quick", (*SAME, "stages.0.batch_size=1"))
    parts = (Part.of(prepared.split, prepared.store, name) for name in PARTS)
    material = Material(recipe, prepared.store, 4, *parts)
    with pytest.raises(RecipeError, match="stage 1 has batches of 1, too few for 2 processes; take fewer"):
        Batches(SimpleNamespace(world_size=2, global_rank=0), material, 0)


def test_more_gpus_than_there_are_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    with pytest.raises(RunError, match="--devices 3: this machine has 2"):
        create_fabric(3)
