"""The published systems in pieces, at toy size: what a lent GPU is to do at any moment."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import LABELS, TINY

from benchmarks import systems
from gliascope.commands.systems import load_systems
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.recipes import load_recipe, recipe_names
from gliascope.splits.split import split
from gliascope.store.store import store
from gliascope.training import loop
from gliascope.training.run import train


def test_the_order_names_recipes_that_reproduce_knows() -> None:
    known = {entry.recipe for system in load_systems() for entry in system.recipes}
    assert set(systems.ORDER) <= known & set(recipe_names())


def test_a_training_goes_on_from_packed_files_of_limited_size(
    official_source: Path, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, catalog = load_recipe("quick", TINY), scan([official_source])
    inputs = recipe, split(catalog)[0], store(catalog.frame, recipe.preprocessing)
    monkeypatch.setattr("gliascope.training.run.export_bundle", lambda *_: bundle)
    work, state = tmp_path / "work", tmp_path / "state"
    monkeypatch.setattr(systems, "PART", 1 << 20)
    written = loop.log_epoch

    def stop_in_the_second(folder, history, losses) -> None:
        if len(history) == 2:
            raise KeyboardInterrupt
        written(folder, history, losses)

    monkeypatch.setattr(loop, "log_epoch", stop_in_the_second)
    with pytest.raises(KeyboardInterrupt):
        train(*inputs, work / "best" / "run")
    first = load_file(work / "best" / "run" / "last.safetensors")
    systems.pack(work, state)
    parts = sorted(state.iterdir())
    assert len(parts) > 1
    assert max(part.stat().st_size for part in parts) <= 1 << 20
    whole = (work / "best" / "run" / "last.safetensors").stat().st_size
    assert sum(part.stat().st_size for part in parts) < 1.2 * whole  # with the chosen weights: two files

    there = tmp_path / "there"
    there.mkdir()
    systems.unpack(state, there)
    found = load_file(there / "best" / "run" / "last.safetensors")
    for key, tensor in first.items():
        assert found[key].dtype == tensor.dtype
        assert torch.allclose(found[key], tensor, rtol=2**-7, atol=1e-30)
    monkeypatch.setattr(loop, "log_epoch", written)
    run = train(*inputs, there / "best" / "run")
    assert [row.epoch for row in run.history()] == [0, 1]
    assert "damaged" not in " ".join(path.name for path in run.folder.iterdir())


def test_a_toy_goes_to_its_end_and_is_not_made_again(
    make_source: Callable[..., Path], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    make_source({f"{part}/{label}": 6 for part in ("Training", "Testing") for label in LABELS}, "masoud7023")
    arguments = [
        "--data",
        str(tmp_path),
        "--state",
        str(tmp_path / "state"),
        "--quickly",
        "6",
        "--seconds",
        "250",
    ]
    systems.main([*arguments, "--recipes", "best"])
    assert "best: done" in capfd.readouterr().out
    systems.main([*arguments, "--recipes", "best"])
    told = capfd.readouterr().out
    assert "best: done" not in told
    assert "| `best` | official " in told


def test_without_a_gpu_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(SystemExit, match="no GPU here"):
        systems.main(["--data", str(tmp_path)])
