"""The main job as a user runs it, by the command line: once in a process of its own, else in this one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from tiny import LABELS, TINY, slice_image
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands import run as run_module
from gliascope.commands.predictions import COLUMNS, load_predictions
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.splits.split import load_splits
from gliascope.store.store import store

SOURCES = ("one", "two")
SETS = [argument for override in TINY for argument in ("--set", override)]


class Done(NamedTuple):
    """Of a command, run in this process or in one of its own."""

    returncode: int
    stdout: str
    stderr: str


def gliascope(*arguments: object, **environment: str) -> Done:
    done = CliRunner(env={"COLUMNS": "200"} | environment).invoke(app, list(map(str, arguments)))
    if done.exit_code == 1 and done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def process(*arguments: object, **environment: str) -> Done:
    command = [sys.executable, "-m", "gliascope", *map(str, arguments)]
    environ = os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, env=environ)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two sources, one and two, and in `out` a finished run on them."""
    place = tmp_path_factory.mktemp("main-job")
    for seed, source in enumerate(SOURCES):
        for part, count in (("Training", 6), ("Testing", 2)):
            for label, name in enumerate(LABELS):
                (place / source / part / name).mkdir(parents=True)
                for number in range(count):
                    image = slice_image(label, 1000 * seed + 10 * number + count)
                    image.save(place / source / part / name / f"{number}.png")
    sources = [place / source for source in SOURCES]
    done = process("run", *sources, "--out", place / "out", *SETS, GLIASCOPE_CACHE=str(place / "cache"))
    assert done.returncode == 0, done.stderr
    return place


@pytest.fixture
def made(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the run made, to look at, not to change; with the cache it filled."""
    monkeypatch.setenv("GLIASCOPE_CACHE", str(place / "cache"))
    return place / "out"


@pytest.mark.slow
def test_tumour_or_none_goes_all_the_way_too(place: Path, tmp_path: Path) -> None:
    done = gliascope(
        "run", place / "one", "--recipe", "binary", "--out", tmp_path / "out", *SETS,
        GLIASCOPE_CACHE=str(place / "cache"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert np.array(report["protocols"]["official"]["confusion"]).shape == (2, 2)
    image = next((place / "one" / "Testing" / "glioma").iterdir())
    told = gliascope("predict", tmp_path / "out" / "bundle", image, "--out", tmp_path / "f.jsonl")
    assert told.returncode == 0, told.stderr
    assert json.loads((tmp_path / "f.jsonl").read_text())["label"] in ("tumor", "no_tumor")


def test_run_makes_everything_and_predict_agrees_with_the_evaluation(made: Path, tmp_path: Path) -> None:
    names = {path.name for path in made.iterdir()}
    assert names == {
        "catalog.parquet", "catalog.thumbnails.parquet", "catalog.rejects.parquet", "audit", "split.parquet", "run", "report.json", "report.html", "bundle",
        "predictions.parquet", "confusion.png", "curves.png", "predictions.png", "ledger.jsonl",
    }  # fmt: skip
    report = json.loads((made / "report.json").read_text())
    assert [source["name"] for source in report["sources"]] == list(SOURCES)
    result = report["protocols"]["official"]
    assert result["n"] == 16
    assert result["accuracy"].keys() == {"value", "low", "high"}
    assert np.array(result["confusion"]).sum() == 16

    # The report's accuracy is what `predict` says of the files themselves.
    tests = [made.parent / source / "Testing" for source in SOURCES]
    done = gliascope("predict", made / "bundle", *tests, "--out", tmp_path / "f.jsonl")
    assert done.returncode == 0, done.stderr
    findings = [json.loads(line) for line in (tmp_path / "f.jsonl").read_text().splitlines()]
    truth = [Path(finding["file"]).parent.name.replace("notumor", "no_tumor") for finding in findings]
    right = sum(finding["label"] == label for finding, label in zip(findings, truth, strict=True))
    assert right / 16 == pytest.approx(result["accuracy"]["value"])

    # And so are the probabilities.
    parts, catalog, bundle = (
        load_splits(made / "split.parquet")[0],
        Catalog.load(made / "catalog.parquet"),
        made / "bundle",
    )
    model = Bundle.load(bundle)
    frame = parts.subset("test")
    images = store(catalog.frame, model.info.preprocessing)
    assert model.calibrator is not None
    scored = model.calibrator.calibrated(
        Engine(model)(images.pixels[images.rows(frame["pixel_hash"])]).logits
    )
    by_file = {"/".join(Path(f["file"]).parts[-4:]): list(f["probabilities"].values()) for f in findings}
    predicted = np.array([by_file[path] for path in frame["path"]])
    assert np.abs(predicted - scored).max() < 1e-4
    kept = load_predictions(made)
    of_split = [name for name in COLUMNS if name in frame.columns]
    assert kept.select(of_split).equals(frame.select(of_split))
    assert set(kept["format"]) == {"png"}
    assert np.abs(kept.select(f"p_{name}" for name in model.info.classes).to_numpy() - scored).max() < 1e-6
    assert {f["verdict"] for f in findings} <= {"accepted", "uncertain", "out of scope"}
    assert {len(f["prediction_set"]) for f in findings} == {4}  # validation has too few groups for less
    told = {name: entry["n"] for name, entry in result["verdicts"]["by_verdict"].items()}
    assert told == {verdict: sum(f["verdict"] == verdict for f in findings) for verdict in told}
    assert model.info.metrics["official"].n == 16
    assert "Research use only" in (bundle / "MODEL_CARD.md").read_text()


def test_each_verb_is_a_command_that_gives_the_same(made: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    catalog, audit = own / "catalog.parquet", own / "audit"
    split, run = own / "split.parquet", own / "run"
    for arguments in (
        ("scan", *(made.parent / source for source in SOURCES), "--out", catalog),
        ("audit", catalog, "--no-check-labels", "--out", audit),
        ("split", catalog, "--audit", audit, "--out", split),
        ("store", catalog, *SETS),
        ("train", catalog, split, "--out", run, *SETS),
        ("evaluate", run, catalog, split, "--audit", audit, "--out", own),
        ("bundle", run, own / "report.json", "--out", own / "bundle"),
    ):
        done = gliascope(*arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    ours, theirs = (json.loads((folder / "report.json").read_text())["protocols"] for folder in (own, made))
    assert ours == theirs
    assert (own / "bundle" / "model.onnx").read_bytes() == (made / "bundle" / "model.onnx").read_bytes()


@pytest.mark.usefixtures("same_export")
def test_protocols_stand_side_by_side_from_as_few_trainings_as_can_be(made: Path, tmp_path: Path) -> None:
    sources = [made.parent / source for source in SOURCES]
    (tmp_path / "out").mkdir()
    shutil.copytree(made / "run", tmp_path / "out" / "run")
    images = sorted(made.parent.glob("*/*/*/*.png"))
    names = [str(path.relative_to(made.parent)) for path in images]
    rows = [f"{name},{number % 2},{name}" for number, name in enumerate(names)]
    (tmp_path / "groups.csv").write_text("\n".join(["image,k,who", *rows]))
    grouping = ("--groups", tmp_path / "groups.csv", "--group-columns", "path=image,group=who,fold=k")
    protocols = "official,official-clean,folds,random"
    done = gliascope("run", *sources, "--out", tmp_path / "out", "--protocol", protocols, *grouping, *SETS)
    assert done.returncode == 0, done.stderr
    assert "random (leaky)" in done.stdout
    out = tmp_path / "out"
    runs = {path.name for path in out.glob("run*")}
    assert runs == {"run", "run-folds-fold-0", "run-folds-fold-1", "run-random"}
    report = json.loads((out / "report.json").read_text())
    assert list(report["protocols"]) == protocols.split(",")
    folds_result = report["protocols"]["folds"]
    assert folds_result["n"] == sum(row["n"] for row in folds_result["folds"]["each"])
    assert report["protocols"]["official"]["folds"] is None
    assert report["audit"]["level"] in ("unsound", "caution", "sound")
    # Without the runs that two protocols need, there is nothing to score them by.
    done = gliascope(
        "evaluate", out / "run", out / "catalog.parquet", out / "split.parquet", "--out", tmp_path
    )
    assert done.returncode == 2
    assert "name the run of " in done.stderr
    arguments = ("evaluate", out / "run", out / "catalog.parquet", out / "split.parquet", "--out", tmp_path)
    done = gliascope(*arguments, "--protocol", "official-clean,official")
    assert done.returncode == 0, done.stderr
    some = json.loads((tmp_path / "report.json").read_text())["protocols"]
    assert list(some) == ["official-clean", "official"]
    assert some["official"] == report["protocols"]["official"]
    assert "has no protocol 'grouped'" in gliascope(*arguments, "--protocol", "grouped").stderr


def test_a_run_and_its_copy_compare_as_equals(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "copy", ignore=shutil.ignore_patterns("bundle"))  # run/model serves, too
    done = gliascope("compare", made, tmp_path / "copy", "--out", tmp_path / "compare")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "compare" / "compare.json").read_text())
    accuracy = json.loads((made / "report.json").read_text())["protocols"]["official"]["accuracy"]
    assert [run["accuracy"] for run in found["runs"]] == [accuracy, accuracy]
    against = found["runs"][1]["against_best"]
    assert against == {
        key: 1.0 if key.startswith("p") else 0 for key in ("best_only", "this_only", "p", "p_groups", "p_holm", "p_groups_holm")
    }  # fmt: skip
    assert all(run["latency_ms"]["value"] > 0 for run in found["runs"])


def test_predicting_needs_no_torch(made: Path, tmp_path: Path) -> None:
    """A None in sys.modules makes an import fail as if the package were not installed."""
    missing = [
        "torch",
        "torchvision",
        "timm",
        "lightning",
        "sklearn",
        "matplotlib",
        "scipy",
        "h5py",
        "jinja2",
    ]
    file = next((made.parent / "one" / "Testing" / "glioma").iterdir())
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({missing}))\nfrom gliascope.cli import main; main()"
    )
    arguments = ["predict", made / "bundle", file, "--explain", tmp_path / "overlays"]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "overlays").iterdir())) == 1


@pytest.mark.parametrize(
    "phase",
    [pytest.param("out/catalog.parquet", marks=pytest.mark.slow), "cache/activations/*/view-*"],
)
def test_ctrl_c_leaves_nothing_half_written_and_the_same_command_goes_on(
    official_source: Path, tmp_path: Path, same_export: None, phase: str
) -> None:
    """The command that goes on runs in this process, which exports in no time."""
    arguments = ["run", official_source, "--out", tmp_path / "out", *SETS, "--set", "stages.0.epochs=12"]
    command = [sys.executable, "-m", "gliascope", *map(str, arguments)]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(phase)):
        assert running.poll() is None and time.monotonic() < deadline, "the phase was never reached"
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    # CPython ends `python -m` by the signal itself when Ctrl-C falls into code run by exec() (as
    # namedtuples are made on import), whoever catches it; a shell reports 130 for either.
    assert running.returncode in (130, -signal.SIGINT), errors
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert not list(tmp_path.rglob("*.tmp"))
    for file in tmp_path.rglob("*.parquet"):
        pl.read_parquet(file)
    done = gliascope(*arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "report.html").exists()


@pytest.mark.parametrize("other", [("--set", "seed=1"), ("--protocol", "grouped"), ("--seed", "1")])
def test_a_run_with_other_settings_changes_nothing(made: Path, other: tuple[str, str]) -> None:
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    done = gliascope("run", *(made.parent / source for source in SOURCES), "--out", made, *SETS, *other)
    assert done.returncode == 2
    assert "holds a run of another recipe, split or data" in done.stderr
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


def test_bundling_the_report_of_another_run_or_over_other_things_is_refused(
    made: Path, tmp_path: Path
) -> None:
    report = json.loads((made / "report.json").read_text())
    report["model"]["sha256"] = "0" * 64
    (tmp_path / "report.json").write_text(json.dumps(report))
    done = gliascope("bundle", made / "run", tmp_path / "report.json", "--out", tmp_path / "bundle")
    assert done.returncode == 2
    assert "belongs to another run" in done.stderr
    done = gliascope("bundle", made / "run", made / "report.json", "--out", tmp_path)
    assert done.returncode == 2
    assert "holds something other than a bundle" in done.stderr
    assert (tmp_path / "report.json").exists()


def test_labels_and_groups_reach_the_catalogue(make_source: Callable[..., Path], tmp_path: Path) -> None:
    source = make_source({"mystery": 3, "no": 3})
    (tmp_path / "labels.yaml").write_text("mystery: tumor\nno: no_tumor\n")
    (tmp_path / "groups.csv").write_text("path,group\nsource/mystery/000.png,p1\n")
    options = ("--labels", tmp_path / "labels.yaml", "--groups", tmp_path / "groups.csv")
    done = gliascope("scan", source, "--out", tmp_path / "c.parquet", *options)
    assert done.returncode == 0, done.stderr
    assert "1 of 6 slices got a group" in done.stderr
    frame = Catalog.load(tmp_path / "c.parquet").frame
    assert set(frame["label"]) == {"tumor", "no_tumor"}
    assert frame["group"].count() == 1


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({}, "no files"),
        ({"glioma": 2}, "only one class"),
        ({"Training/glioma": 9, "Training/notumor": 9, "Testing/pituitary": 2}, "not in training"),
        ({"glioma": 2, "mystery": 2}, "unknown class folder"),
    ],
)
def test_sources_that_cannot_be_used_are_one_line_and_exit_code_2(
    make_source: Callable[..., Path], tmp_path: Path, tree: dict[str, int], message: str
) -> None:
    source = make_source(tree)
    source.mkdir(exist_ok=True)
    done = gliascope("run", source, "--out", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_the_cache_can_be_seen_and_cleared(made: Path, tmp_path: Path) -> None:
    (tmp_path / "cache" / "store" / "x").mkdir(parents=True)
    (tmp_path / "cache" / "store" / "x" / "pixels.npy").write_bytes(bytes(3 << 20))
    own = {"GLIASCOPE_CACHE": str(tmp_path / "cache")}
    assert "1 files, 3 MiB" in gliascope("cache", **own).stdout
    assert gliascope("cache", "--clear", **own).returncode == 0
    assert not (tmp_path / "cache" / "store").exists()


def test_a_full_disk_is_one_line_and_exit_code_2(official_source: Path, small_disk: Path) -> None:
    done = gliascope("run", official_source, "--out", small_disk / "out", *SETS)
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr
    assert not [path for path in small_disk.rglob("*") if path.name.endswith(".tmp")]


def test_no_write_permission_is_one_line_and_exit_code_2(official_source: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # a file where a folder should be fails for root too
    done = gliascope("run", official_source, "--out", tmp_path / "file" / "out", *SETS)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_named(official_source: Path, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    done = gliascope("run", official_source, "--out", tmp_path / "locked" / "out", *SETS)
    assert done.returncode == 2
    assert "locked" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run", "nowhere", "--out", "o"), "nowhere: not a folder"),
        (("run", ".", "--out", "o", "--recipe", "quik"), "unknown recipe 'quik'; choose from best, "),
        (("run", ".", "--out", "o", "--set", "viewz=1"), "nearest known key is 'views'"),
        (("split", "nowhere.parquet"), "make it with `gliascope scan`"),
        (("predict", "nowhere", "x.png"), "nowhere: not a bundle"),
        (("evaluate", "nowhere", "c", "s"), "nowhere: not a run"),
        (("frobnicate",), "No such command"),
    ],
)
def test_user_errors_are_one_line_and_exit_code_2(
    arguments: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = gliascope(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_any_name_of_a_folder_and_of_a_class_goes_all_the_way(
    make_source: Callable[..., Path], tmp_path: Path
) -> None:
    tree = {f"{part}/{name}": 6 for part in ("Training", "Testing") for name in ("胶质瘤", "MGMT+", "MGMT-")}
    source = make_source(tree, "set [1]")
    out = tmp_path / "out [2] #%20?*{a} 'é"
    labels = tmp_path / "l[1].yaml"
    labels.write_text("胶质瘤: 胶质瘤\nMGMT+: MGMT+\nMGMT-: MGMT-\n", encoding="utf-8")
    done = gliascope("run", source, "--labels", labels, "--out", out, *SETS)
    assert done.returncode == 0, done.stderr
    classes = ("mgmt+", "mgmt-", "胶质瘤")
    assert Bundle.load(out / "bundle").info.classes == classes
    assert set(json.loads((out / "report.json").read_text())["protocols"]["official"]["per_class"]) == set(
        classes
    )
    assert "胶质瘤" in (out / "report.html").read_text(encoding="utf-8")
    findings = tmp_path / "f [1].parquet"
    done = gliascope("predict", out / "bundle", source / "Testing", "--out", findings, "--explain", out / "o")
    assert done.returncode == 0, done.stderr
    assert "findings of slices" in done.stdout
    done = gliascope("export-dataset", out / "catalog.parquet", "--out", tmp_path / "merged [1]")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "merged [1]" / "Testing").iterdir()} <= {*classes, "MR"}


def test_what_an_interrupted_call_audited_is_found_by_the_same_version_alone(
    official_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = scan([official_source])
    whole, calls = run_module.audit, []

    def counted(*given: object, **settings: object) -> object:
        calls.append(settings)
        return whole(*given, **settings)  # type: ignore[arg-type]

    monkeypatch.setattr(run_module, "audit", counted)
    run_module._audit(catalog, tmp_path)
    run_module._audit(catalog, tmp_path)
    assert len(calls) == 1
    monkeypatch.setattr(run_module, "__version__", "another")
    run_module._audit(catalog, tmp_path)
    assert len(calls) == 2
    monkeypatch.setattr(run_module, "THRESHOLD", 0.97)
    run_module._audit(catalog, tmp_path)
    assert [settings["threshold"] for settings in calls] == [0.98, 0.98, 0.97]
