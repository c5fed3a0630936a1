import csv
import itertools
import json
import shutil
from importlib import metadata
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY

from gliascope import __version__
from gliascope.errors import RunError
from gliascope.models.classifier import build_classifier
from gliascope.recipes import load_recipe
from gliascope.recipes.run import Run
from gliascope.splits.split import split
from gliascope.training import activations, inputs, loop
from gliascope.training.loop import load_history
from gliascope.training.run import train
from gliascope.training.stage import StageTraining


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "chosen.safetensors") | load_file(folder / "last.safetensors")


def same(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as stream:
        return [{k: v for k, v in row.items() if k != "seconds"} for row in csv.DictReader(stream)]


def test_a_run_holds_all_that_is_needed_to_repeat_it(prepared, tmp_path: Path) -> None:
    run = train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    loaded = Run.load(tmp_path / "run")
    assert loaded == run
    assert loaded.recipe == prepared.recipe
    assert loaded.record.classes == ("glioma", "meningioma", "no_tumor", "pituitary")
    assert loaded.record.environment["torch"] == metadata.version("torch")
    assert loaded.record.split == prepared.split.training_hash
    rows = loaded.history()
    assert [row.epoch for row in rows] == [0, 1]
    assert loaded.record.results.chosen_row == 1  # quick keeps the last epoch
    assert list((tmp_path / "run" / "tensorboard").iterdir())
    assert not [path for path in tmp_path.rglob(".*") if path.is_file()]


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_it_learns(prepared, tmp_path: Path, precision: str) -> None:
    # The place tells the class here, so a mirrored slice would be of another one.
    unflipped = ("tta.views=[{}]", "augmentation.flip=0", "stages.0.epochs=8")
    recipe = load_recipe("quick", [*TINY, *unflipped, f"precision={precision}"])
    run = train(recipe, prepared.split, prepared.store, tmp_path / "run")
    assert {value.dtype for value in weights(run.folder).values()} <= {torch.float32, torch.int64}
    rows = run.history()
    assert rows[-1].train_loss < 0.6 * rows[0].train_loss
    assert rows[run.record.results.chosen_row].val_accuracy >= 0.75  # chance is 0.25


def test_only_what_is_after_the_cut_changes(prepared, tmp_path: Path) -> None:
    before = build_classifier(prepared.recipe, 4).state_dict()
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    after = load_file(tmp_path / "run" / "chosen.safetensors")
    frozen = ("backbone.conv_stem", "backbone.bn1", *(f"backbone.blocks.{n}." for n in range(5)))
    for key, value in after.items():
        if key.startswith(frozen):
            assert torch.equal(value, before[key]), key
        elif key.endswith("weight"):
            assert not torch.equal(value, before[key]), key


# 10 steps: two epochs of five. 0 stops before the first, 5 between the epochs.
@pytest.mark.parametrize("steps", [0, 1, 4, 5, 7, 9])
def test_a_run_stopped_at_any_step_and_resumed_ends_in_the_same_bits(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "whole")
    count = 0
    step = StageTraining._step

    def stopping(*args):
        nonlocal count
        if count == steps:
            raise KeyboardInterrupt
        count += 1
        return step(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(StageTraining, "_step", stopping)
        train(prepared.recipe, prepared.split, prepared.store, tmp_path / "cut")
    torch.rand(7)  # the state of the global generator must not matter
    run = train(prepared.recipe, prepared.split, prepared.store, tmp_path / "cut")
    assert same(tmp_path / "whole", tmp_path / "cut")
    assert history(tmp_path / "whole") == history(tmp_path / "cut")
    assert run.check_finished() is None


# In stage 2: after its first epoch, and within it, when its weights are the best but not yet the last.
@pytest.mark.parametrize(("after", "number"), [("save_progress", 2), ("save_weights", 3)])
def test_stages_follow_each_other_and_resume(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str, number: int
) -> None:
    stages = "stages=[{freeze: backbone, epochs: 1, batch_size: 8}, {freeze: backbone.blocks.5, epochs: 2, batch_size: 8}]"
    recipe = load_recipe("quick", ["preprocessing.size=64", "views=2", stages])
    train(recipe, prepared.split, prepared.store, tmp_path / "whole")
    saves = 0
    save = getattr(loop, after)

    def stopping(*args, **options):
        nonlocal saves
        save(*args, **options)
        saves += 1
        if saves == number:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, after, stopping)
        train(recipe, prepared.split, prepared.store, tmp_path / "cut")
    train(recipe, prepared.split, prepared.store, tmp_path / "cut")
    assert same(tmp_path / "whole", tmp_path / "cut")


def test_interrupted_activations_go_on(prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activations, "BATCH", 16)
    calls = 0
    augment = inputs.augment

    def stopping(*args):
        nonlocal calls
        calls += 1
        if calls == 2:  # the first batch is in the file by now
            raise KeyboardInterrupt
        return augment(*args)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(inputs, "augment", stopping)
        train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    cache = activations.cache_folder() / "activations"
    (done,) = cache.rglob("view-1.done")
    assert 0 < sum(done.read_bytes()) <= 16  # a batch; which one comes first is drawn by the process
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    shutil.rmtree(cache)
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "whole")
    assert same(tmp_path / "run", tmp_path / "whole")


def test_a_folder_with_another_run_is_refused_and_kept(prepared, tmp_path: Path) -> None:
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    before = (tmp_path / "run" / "chosen.safetensors").read_bytes()
    other = prepared.recipe.model_copy(update={"seed": 1})
    with pytest.raises(RunError, match="another recipe"):
        train(other, prepared.split, prepared.store, tmp_path / "run")
    (grouped,) = split(prepared.catalog, ["grouped"])
    with pytest.raises(RunError, match="another recipe, split or data"):
        train(prepared.recipe, grouped, prepared.store, tmp_path / "run")
    assert (tmp_path / "run" / "chosen.safetensors").read_bytes() == before


def test_a_finished_run_is_not_trained_again(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    monkeypatch.setattr("gliascope.training.run.fit", lambda *_: pytest.fail("trained again"))
    assert train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run") == done


def test_a_loss_that_is_not_finite_stops_with_batch_and_remedy(prepared, tmp_path: Path, monkeypatch) -> None:
    step = StageTraining._step

    steps = itertools.count()

    def poisoned(self, kind, given):
        targets, *loaded = given
        if next(steps) == 7:  # the second of the second epoch
            loaded = [torch.full_like(tensor, torch.nan) for tensor in loaded]
        return step(self, kind, (targets, *loaded))

    with monkeypatch.context() as patch:
        patch.setattr(StageTraining, "_step", poisoned)
        told = r"stage 1, epoch 2: the loss is nan in training.*first in step 2 of 6, on source/.*lower the learning rate"
        with pytest.raises(RunError, match=told):
            train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    slices = (tmp_path / "run" / "diverged.txt").read_text().splitlines()
    assert len(slices) == len(set(slices)) == 8
    assert set(slices) <= set(prepared.split.subset("train")["path"])
    # What was good before is there, and goes on.
    assert len(load_history(tmp_path / "run")) == 1
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "whole")
    assert same(tmp_path / "whole", tmp_path / "run")


def test_damaged_runs_are_named(prepared, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="not a run"):
        Run.load(tmp_path)
    run = train(prepared.recipe, prepared.split, prepared.store, tmp_path / "run")
    (tmp_path / "run" / "run.json").write_text(json.dumps({"version": "0"}))
    with pytest.raises(RunError, match=r"made by gliascope 0, .*train again"):
        Run.load(run.folder)
    (tmp_path / "run" / "run.json").write_text(json.dumps({"version": __version__}))
    with pytest.raises(RunError, match="damaged run"):
        Run.load(run.folder)


@pytest.mark.parametrize("damage", ["cut", "flipped", "gone", "both"])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    prepared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    run = tmp_path / "run"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            "gliascope.training.run.export_bundle", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        train(prepared.recipe, prepared.split, prepared.store, run)
    last = run / "last.safetensors"
    content = bytearray(last.read_bytes())
    content[-5000] ^= 1
    last.write_bytes({"cut": content[:-1], "flipped": content, "gone": b"", "both": b"junk"}[damage])
    if damage == "gone":  # killed between keeping the one before and naming the new one
        last.unlink()
    if damage == "both":
        (run / "previous.safetensors").write_bytes(b"")
    capsys.readouterr()
    train(prepared.recipe, prepared.split, prepared.store, run)
    told = capsys.readouterr().err
    epochs = [line.split(":")[0] for line in told.splitlines() if line.startswith("epoch")]
    assert epochs == (["epoch 1", "epoch 2"] if damage == "both" else ["epoch 2"])
    assert ("last.safetensors: damaged checkpoint" in told) == (damage != "gone")
    assert ("training continues from the previous one" in told) == (damage != "gone")
    assert ("training continues from the start" in told) == (damage == "both")
    train(prepared.recipe, prepared.split, prepared.store, tmp_path / "whole")
    assert same(tmp_path / "whole", run)
