"""Who calibrates a run: no slice whose group trained it, or chose anything of it. Small trainings, but real."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from html_page import check_page
from tiny import LABELS, TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands.calibrate import fit_calibrator_on_split
from gliascope.commands.evaluate import evaluate
from gliascope.commands.evaluated_model import CachedOutputs
from gliascope.commands.train import calibrate_runs, train
from gliascope.dataset.catalog import Catalog
from gliascope.dataset.groups import GroupsFile
from gliascope.dataset.scan import scan
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.models.backbones import complete_recipe
from gliascope.recipes import load_recipe
from gliascope.recipes.run import Run
from gliascope.splits.split import Split, split, write_splits
from gliascope.store.store import store
from gliascope.store.store_splits import store_splits
from gliascope.training.stage import StageTraining

Make = Callable[..., Path]


pytestmark = pytest.mark.usefixtures("same_export")


class Seen:
    """Pixel hashes of what was scored in training, and of what calibrated, since the last look."""

    def __init__(self) -> None:
        self.scored: set[str] = set()
        self.calibrated: set[str] = set()

    def clear(self) -> None:
        self.scored.clear()
        self.calibrated.clear()


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()
    score, call = StageTraining._score, CachedOutputs.__call__

    def scored(self, part, *rest):
        found.scored.update(self.data.store.hashes[part.rows].tolist())
        return score(self, part, *rest)

    def called(self, frame, part):
        if part == "val":
            found.calibrated.update(frame["pixel_hash"])
        return call(self, frame, part)

    monkeypatch.setattr(StageTraining, "_score", scored)
    monkeypatch.setattr(CachedOutputs, "__call__", called)
    return found


def trained(catalog: Catalog, made: Split, folder: Path, *overrides: str, recipe: str = "quick") -> Run:
    wanted = complete_recipe(load_recipe(recipe, [*(TINY if recipe == "quick" else ()), *overrides]))
    images, splits = store_splits(catalog.frame, [made], wanted.preprocessing)
    runs = train(wanted, splits, images, folder)
    calibrate_runs(runs, images, splits)
    return runs[0]


def evaluated(run: Run, catalog: Catalog, made: Split, folder: Path) -> None:
    images, splits = store_splits(catalog.frame, [made], run.recipe.preprocessing)
    evaluate([run], catalog, splits, images, folder=folder)


@pytest.fixture
def parted(official_source: Path) -> tuple[Catalog, Split]:
    """Enough slices that validate for both uses; each is a group of its own."""
    catalog = scan([official_source])
    return catalog, split(catalog, validation_share=0.5)[0]


@pytest.mark.parametrize(
    "override",
    ["keep=best", "stages.0.patience=9", "stages.0.plateau={factor: 0.5, patience: 9}", "tuned=true"],
)
def test_what_chooses_does_not_calibrate(
    override: str, parted: tuple[Catalog, Split], seen: Seen, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    catalog, made = parted
    run = trained(catalog, made, tmp_path / "run", "stages.0.epochs=1", override)
    val = set(made.subset("val")["pixel_hash"])
    assert seen.scored and seen.calibrated
    assert not seen.scored & seen.calibrated
    assert seen.scored | seen.calibrated == val
    assert len(seen.calibrated) == Bundle.load(run.model).calibrator.groups
    assert f"{len(seen.scored)} in {len(seen.scored)} groups chose" in capsys.readouterr().err
    with_all = trained(catalog, made, tmp_path / "other", "stages.0.epochs=1")
    assert Bundle.load(with_all.model).calibrator.groups == len(val)  # where nothing is chosen, all calibrate


def test_what_chose_in_tune_never_calibrates_what_its_recipe_trains(
    parted: tuple[Catalog, Split], seen: Seen, tmp_path: Path
) -> None:
    """Also under another protocol, and in other drawings of validation."""
    catalog, _ = parted
    several = split(catalog, ["official", "grouped"], validation_share=0.5, repeats=2)
    catalog.write(tmp_path / "catalog.parquet")
    write_splits(several[:2], tmp_path / "split.parquet")
    (tmp_path / "space.yaml").write_text("fields: {stages.0.lr: {low: 1.0e-4, high: 1.0e-1, log: true}}")
    sets = [argument for one in (*TINY, "stages.0.epochs=1") for argument in ("--set", one)]
    places = [tmp_path / name for name in ("catalog.parquet", "split.parquet")]
    done = CliRunner().invoke(
        app,
        [
            "tune",
            *map(str, places),
            "--space",
            str(tmp_path / "space.yaml"),
            "--trials",
            "2",
            *sets,
            "--out",
            str(tmp_path / "tuned"),
        ],
    )
    assert done.exit_code == 0, done.stderr
    chose = set(seen.scored)
    assert chose and not seen.calibrated
    best = load_recipe(str(tmp_path / "tuned" / "best.yaml"))
    assert best.keep == "last" and best.tuned and best.selects_on_validation
    data = json.loads((tmp_path / "tuned" / "tune.json").read_text())
    assert data["groups"] == len(chose)
    for number, made in enumerate((several[0], several[2])):
        seen.clear()
        trained(catalog, made, tmp_path / f"run-{number}", recipe=str(tmp_path / "tuned" / "best.yaml"))
        assert seen.calibrated
        assert not seen.calibrated & chose


def copied_validation(make_source: Make, clean: int) -> Path:
    """A source's own validation folder: of each class six copies of training slices, and `clean` others."""
    counts = {"Training": 12, "Validation": clean, "Testing": 4}
    source = make_source({f"{part}/{label}": n for part, n in counts.items() for label in LABELS})
    for label in LABELS:
        for number in range(6):
            copy = source / "Validation" / label / f"copy-{number}.png"
            shutil.copy(source / "Training" / label / f"{number:03d}.png", copy)
    return source


def test_copies_of_training_slices_in_a_sources_own_validation_folder_do_not_calibrate(
    make_source: Make, seen: Seen, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    catalog = scan([copied_validation(make_source, clean=3)])
    (made,) = split(catalog)
    run = trained(catalog, made, tmp_path / "run", "stages.0.epochs=1")
    assert not seen.calibrated & set(made.subset("train")["pixel_hash"])
    assert len(seen.calibrated) == 12
    assert Bundle.load(run.model).calibrator.groups == 12
    told = "24 in 24 groups cannot, since copies of them, or slices of their groups, trained"
    assert told in capsys.readouterr().err
    seen.clear()
    evaluated(run, catalog, made, tmp_path)
    assert not seen.calibrated & set(made.subset("train")["pixel_hash"])  # thresholds are chosen there, too
    report = json.loads((tmp_path / "report.json").read_text())["protocols"]["official"]
    assert report["validation"] == [
        {
            "fold": "",
            "chose": {"slices": 0, "groups": 0},
            "calibrated": {"slices": 12, "groups": 12},
            "dropped": {"slices": 24, "groups": 24},
        }
    ]
    page = check_page((tmp_path / "report.html").read_text())
    assert "What validation slices did" in page.text


def test_where_all_that_validates_trained_findings_are_unchecked_and_it_is_said(
    make_source: Make, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    catalog = scan([copied_validation(make_source, clean=0)])
    (made,) = split(catalog)
    run = trained(catalog, made, tmp_path / "run", "stages.0.epochs=1")
    assert Bundle.load(run.model).calibrator is None
    printed = " ".join(capsys.readouterr().err.split())
    assert "no slice is left to calibrate on, so its findings stay unchecked; add patients" in printed
    evaluated(run, catalog, made, tmp_path)
    page = check_page((tmp_path / "report.html").read_text())
    assert "No validation slice was left to calibrate on: all trained or chose." in page.text


def test_patients_whom_random_cuts_do_not_calibrate(make_source: Make, tmp_path: Path) -> None:
    source = make_source(dict.fromkeys(LABELS, 24))
    images = sorted(source.glob("*/*.png"))
    rows = [f"{path.relative_to(source.parent)},{path.parent.name}-{number // 12}" for path in images
            for number in [int(path.stem)]]  # fmt: skip
    (tmp_path / "groups.csv").write_text("\n".join(["path,group", *rows]))
    catalog = scan([source], groups=GroupsFile(tmp_path / "groups.csv"))
    (made,) = split(catalog, ["random"])
    run = trained(catalog, made, tmp_path / "run", "stages.0.epochs=1")
    assert Bundle.load(run.model).calibrator is None


def test_the_slices_that_calibrated_are_covered_as_often_as_promised_after_writing_and_reading(
    make_source: Make, tmp_path: Path, bundle: Bundle
) -> None:
    """To the last slice: a rounding apart, the one that sets the quantile would fall out of its own set."""
    catalog = scan([make_source(dict.fromkeys(LABELS, 80))])
    (made,) = split(catalog, ["grouped"])
    images = store(catalog.frame, bundle.info.preprocessing)
    bundle.with_calibrator(fit_calibrator_on_split(bundle, images, made, is_validation_chosen=False)).write(
        tmp_path / "bundle"
    )
    loaded = Bundle.load(tmp_path / "bundle")
    frame = made.subset("val")
    outputs = CachedOutputs(images, Engine(loaded))(frame, "val")
    said = loaded.calibrator.assess(outputs.logits, outputs.ood_features)
    labels = np.searchsorted(made.classes, frame["label"].to_list())
    covered = said.sets[np.arange(len(labels)), labels]
    assert loaded.calibrator.groups == len(labels)
    assert covered.sum() >= np.ceil((len(labels) + 1) * loaded.calibrator.level)
    assert (said.outlier_scores <= 1).mean() >= 0.95
