"""The verbs on a cluster give what they give on one machine, and go on where a worker dies."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.train import calibrate_runs, train
from gliascope.commands.tune import tune
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.errors import GliascopeError, LayoutError, ReadError
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict_files import predict_files
from gliascope.models.backbones import complete_recipe
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import load_recipe
from gliascope.recipes.space import Range, SearchSpace
from gliascope.runtime import resumable_map
from gliascope.runtime.executors import Executor, map_in_order
from gliascope.splits.split import split
from gliascope.store import store
from gliascope.store.store_splits import store_splits
from gliascope.training.loop import load_history

Make = Callable[..., Path]
pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def workers(address: str) -> Iterator[Executor]:
    from gliascope.runtime.ray_executor import connect

    with connect(address) as made:
        yield made


@pytest.fixture
def source(make_source: Make, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Sixty slices in blocks of eight, one of them damaged, and one text."""
    monkeypatch.setattr(resumable_map, "MAX_CHUNK_FILES", 8)
    monkeypatch.setattr(store, "SLICES_PER_TASK", 8)
    made = make_source({"yes": 30, "no": 30})
    (made / "yes" / "003.png").write_bytes((made / "yes" / "003.png").read_bytes()[:200])
    (made / "no" / "text.png").write_text("no picture")
    return made


class Deadly:
    """Workers of which the first dies of its work."""

    def __init__(self, workers: Executor, mark: Path) -> None:
        self.workers, self.mark, self.count = workers, mark, workers.count

    def wrap(self, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        mark = self.mark

        def deadly(item: Any) -> Any:
            if not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return function(item)

        return self.workers.wrap(deadly)

    def stop(self) -> None:
        self.workers.stop()


def written(catalog: Catalog, folder: Path) -> list[bytes]:
    catalog.write(folder / "catalog.parquet")
    return [path.read_bytes() for path in sorted(folder.rglob("*.*")) if path.is_file()]


def test_a_catalogue_is_the_same(workers: Executor, source: Path, tmp_path: Path) -> None:
    here, there = scan([source]), scan([source], executor=workers)
    assert sorted(there.excluded["path"]) == ["source/no/text.png", "source/yes/003.png"]
    assert written(there, tmp_path / "there") == written(here, tmp_path / "here")


def test_a_store_is_the_same(
    workers: Executor, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = scan([source]).frame
    (source / "yes" / "007.png").unlink()
    here = store.store(frame, Preprocessing(size=32))
    monkeypatch.setenv("GLIASCOPE_CACHE", str(tmp_path / "other"))
    there = store.store(frame, Preprocessing(size=32), workers)
    assert there.folder != here.folder
    assert np.array_equal(there.pixels, here.pixels)
    assert there.missing.tolist() == here.missing.tolist() != []


def test_findings_are_the_same_though_a_worker_dies(
    workers: Executor, source: Path, tmp_path: Path, calibrated: Bundle
) -> None:
    here = predict_files(calibrated, [source], tmp_path / "here.jsonl", overlay_folder=tmp_path / "here")
    mark = tmp_path / "mark"
    deadly = Deadly(workers, mark)
    there = predict_files(
        calibrated, [source], tmp_path / "there.jsonl", overlay_folder=tmp_path / "there", executor=deadly
    )
    assert mark.exists()
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert [finding.probabilities for finding in there.findings] == [
        finding.probabilities for finding in here.findings
    ]
    assert list(map(str, there.unreadable)) == list(map(str, here.unreadable))
    overlays = [path.name for path in sorted((tmp_path / "here").iterdir())]
    assert len(overlays) == 59
    assert [path.name for path in sorted((tmp_path / "there").iterdir())] == overlays


@pytest.mark.slow
def test_folds_are_trained_side_by_side_and_found_again(
    workers: Executor, make_source: Make, tmp_path: Path
) -> None:
    """To rounding, as one after the other."""
    recipe = complete_recipe(load_recipe("quick", [*TINY, "stages.0.epochs=1"]))
    catalog = scan([make_source({"yes": 12, "no": 12})])
    splits = split(catalog, ["folds"])[:2]
    images, splits = store_splits(catalog.frame, splits, recipe.preprocessing, workers)
    runs = train(recipe, splits, images, tmp_path / "run", executor=workers)
    assert [run.folder.name for run in runs] == ["run", "run-folds-fold-2"]
    assert [run.record.split for run in runs] == [one.training_hash for one in splits]
    assert all(run.model.exists() for run in runs)
    (there,) = load_history(runs[0].folder)
    (here,) = load_history(train(recipe, splits[:1], images, tmp_path / "here")[0].folder)
    assert there.train_loss == pytest.approx(here.train_loss, rel=1e-3)
    assert there.val_loss == pytest.approx(here.val_loss, rel=1e-2)
    assert train(recipe, splits, images, tmp_path / "run", executor=workers) == runs
    calibrate_runs(runs, images, splits, executor=workers)
    assert all(Bundle.load(run.model).calibrator for run in runs)


@pytest.mark.slow
def test_a_search_is_shared(workers: Executor, make_source: Make, tmp_path: Path) -> None:
    catalog = scan([make_source({"yes": 12, "no": 12})])
    searched = SearchSpace(fields={"stages.0.lr": Range(low=1e-4, high=1e-2, log=True)})
    overrides = [*TINY, "stages.0.epochs=1"]
    splits = split(catalog, ["grouped"])
    given = {"splits": splits, "folder": tmp_path / "tune", "trials": 2, "executor": workers}
    tune("quick", overrides, searched, catalog, **given)
    assert len(json.loads((tmp_path / "tune" / "tune.json").read_text())["trials"]) >= 2


def test_results_come_in_order(workers: Executor) -> None:
    def slower_first(item: int) -> int:
        time.sleep(0.05 * (item < 2))
        return item**2

    items = list(range(40))
    assert list(map_in_order(workers.wrap(slower_first), items, workers)) == [item**2 for item in items]


@pytest.mark.parametrize(
    "error", [ReadError("a.png", "damaged", "why"), LayoutError("no such class"), OSError(28, "full", "x")]
)
def test_errors_come_back_as_they_were(workers: Executor, error: Exception) -> None:
    def fail(_item: int) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        list(map_in_order(workers.wrap(fail), [1, 2, 3], workers))
    assert type(caught.value) is type(error)
    assert str(caught.value) == str(error)


def test_whoever_stops_does_not_wait_for_the_tasks(workers: Executor) -> None:
    def slow(item: int) -> int:
        time.sleep(item)
        return item

    results = map_in_order(workers.wrap(slow), [0] * workers.count + [200] * 20, workers)
    began = time.monotonic()
    assert next(results) == 0
    results.close()
    assert time.monotonic() - began < 60


def test_work_that_no_worker_survives_is_an_error(workers: Executor) -> None:
    def die(_item: int) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(ConnectionError, match="the Ray cluster failed"):
        list(map_in_order(workers.wrap(die), [1], workers))


def test_another_version_is_refused(workers: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliascope.runtime.ray_executor.__version__", "0.0")
    with pytest.raises(GliascopeError, match=r"you 0\.0"):
        list(map_in_order(workers.wrap(abs), [1], workers))


def test_the_command_finds_the_cluster_of_the_environment(
    address: str, source: Path, tmp_path: Path, calibrated: Bundle
) -> None:
    calibrated.write(tmp_path / "bundle")
    predict_files(calibrated, [source], tmp_path / "here.jsonl")
    command = [sys.executable, "-m", "gliascope", "predict", tmp_path / "bundle", source, "--cluster", "auto"]
    environment = os.environ | {"RAY_ADDRESS": address}
    told = subprocess.run(
        [*command, "--out", tmp_path / "f.jsonl"], env=environment, capture_output=True, text=True
    )
    assert told.returncode == 0, told.stderr
    assert "ray" not in told.stderr.lower()
    assert (tmp_path / "f.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()


def test_without_ray_the_extra_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "gliascope.runtime.ray_executor", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    arguments = ["scan", str(source), "--out", str(tmp_path / "c.parquet"), "--cluster", "auto"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.output == "error: ray is missing: pip install 'gliascope[scale]'\n"
