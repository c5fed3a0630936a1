import json
from collections.abc import Callable
from pathlib import Path

import pytest
from html_page import check_page
from outs import BINARY, TYPES, make_out
from tiny import LABELS, TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.commands import reproduce
from gliascope.commands.systems import load_systems
from gliascope.dataset.scan import scan
from gliascope.errors import WeightsError
from gliascope.io.folder_labels import load_mapping
from gliascope.recipes import load_recipe, recipe_names
from gliascope.splits.protocols import PROTOCOLS

ENTRIES = [entry for system in load_systems() for entry in system.recipes]


class Runs:
    """In place of `run`: makes the folder by hand, or fails, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict] = []
        self.failing: dict[str, Exception] = {}

    def __call__(self, sources, place, recipe, protocols, labels, **options) -> None:
        self.asked.append({"recipe": recipe, "sources": sources, "labels": labels, **options})
        if recipe.name in self.failing:
            raise self.failing[recipe.name]
        accuracy = 0.95 if recipe.name == "best" else 0.7
        classes = BINARY if recipe.task == "binary" else TYPES
        make_out(
            place, recipe.name, accuracy, classes=classes, protocols=protocols, watched=recipe.watch_test
        )

    @property
    def names(self) -> list[str]:
        return [asked["recipe"].name for asked in self.asked]


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Runs:
    made = Runs()
    monkeypatch.setattr(reproduce, "run", made)
    return made


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("masoud7023", "sartajbhuvaji"):
        (tmp_path / "data" / name).mkdir(parents=True)
    return tmp_path / "data"


def gliascope(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["reproduce", *map(str, arguments)])
    return done.exit_code, done.stdout, done.stderr


def read(out: Path) -> dict[str, dict]:
    tree = json.loads((out / "systems.json").read_text(encoding="utf-8"))
    return {recipe["recipe"]: recipe for system in tree["systems"] for recipe in system["recipes"]}


def test_the_table_knows_all_recipes_and_only_known_protocols() -> None:
    assert sorted(entry.recipe for entry in ENTRIES) == recipe_names()
    for entry in ENTRIES:
        assert set(entry.protocols) <= set(PROTOCOLS)
        assert {number.protocol for number in entry.published} <= {None, *entry.protocols}


def test_theirs_stand_against_ours_and_alike_runs_are_compared(
    runs: Runs, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    code, _, errors = gliascope("--data", data, "--out", out)
    assert code == 0, errors
    assert sorted(runs.names) == sorted(set(recipe_names()) - {"resnet-scratch"})
    assert f"{data}: holds no folder ct" in read(out)["resnet-scratch"]["reason"]
    frozen = read(out)["resnet50-frozen"]
    assert frozen["published"][0]["value"] == 0.8741
    assert frozen["published"][0]["ours"] == frozen["protocols"]["random"]["accuracy"]
    # The made history has 0.8 and 0.4 by epoch; this one names the last.
    assert frozen["published"][2]["ours"]["value"] == 0.4
    assert runs.asked[0]["sources"] == [data / "masoud7023", data / "sartajbhuvaji"]
    three = read(out)["efficientnetv2s-three-stage"]
    assert three["published"][1]["ours"] == three["protocols"]["official"]["macro_auroc"]
    assert read(out)["vgg16-sgd"]["leak"]["accuracy"] == 0.9

    page = check_page((out / "systems.html").read_text(encoding="utf-8"))
    text = page.text.replace("\N{NARROW NO-BREAK SPACE}", " ")
    assert text.count("test accuracy, random") == 2  # beside theirs, and not once more alone
    for words in ("87.4 %", "resnet-scratch is excluded", "LEAK", "1. ResNet50, frozen"):
        assert words in text, words
    assert "A trial" not in text
    lines = (out / "systems.md").read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.count("|") == 5 for line in tables)
    assert sum("excluded" in line for line in tables) == 1

    masoud = out / "compare-masoud7023-official-4-classes"
    compared = {run["name"] for run in json.loads((masoud / "compare.json").read_text())["runs"]}
    assert compared == {
        "best", "quick", "linear-probe",
        "efficientnetv2s-three-stage", "efficientnetv2s-three-stage-as-published",
    }  # fmt: skip
    assert not list(out.glob("compare-*-2-classes"))  # `binary` alone has no match


def test_it_goes_on_where_it_stopped(runs: Runs, data: Path, tmp_path: Path) -> None:
    arguments = ("--data", data, "--out", tmp_path / "out", "--recipes")
    runs.failing["quick"] = WeightsError("no weights for it; name a file")
    code, _, errors = gliascope(*arguments, "linear-probe,quick,best")
    assert code == 0, errors
    assert runs.names == ["linear-probe", "quick", "best"]
    assert read(tmp_path / "out")["quick"]["reason"] == "no weights for it; name a file"
    runs.asked, runs.failing = [], {}
    assert gliascope(*arguments, "linear-probe,quick")[0] == 0
    assert runs.names == ["quick"]
    # What was made before and is not asked for now stays in the table.
    found = read(tmp_path / "out")
    assert sorted(found) == ["best", "linear-probe", "quick"]
    assert all("protocols" in recipe for recipe in found.values())
    # Another recipe is another job.
    assert gliascope(*arguments, "quick", "--set", "seed=7")[0] == 0
    assert runs.asked[-1]["recipe"].seed == 7


def test_a_trial_is_short_and_says_so(runs: Runs, data: Path, tmp_path: Path) -> None:
    chosen = ("efficientnetv2s-three-stage", "quick")
    options = ("--quickly", 9, "--set", "seed=3", "--recipes", ",".join(chosen))
    assert gliascope("--data", data, "--out", tmp_path / "out", *options)[0] == 0
    for asked in runs.asked:
        assert asked["limit"] == 9
        assert {stage.epochs for stage in asked["recipe"].stages} == {1}
        assert asked["recipe"].seed == 3
    assert len(runs.asked[0]["recipe"].stages) == len(load_recipe(chosen[0]).stages) == 3
    for name in ("systems.html", "systems.md"):
        assert "Its numbers mean nothing" in (tmp_path / "out" / name).read_text()


def test_errors_are_one_line_and_exit_code_2(runs: Runs, data: Path, tmp_path: Path) -> None:
    code, _, errors = gliascope("--data", data, "--out", tmp_path / "out", "--recipes", "quick,quik")
    assert code == 2
    assert "nothing to reproduce by 'quik'; choose from resnet50-frozen, " in errors
    assert not runs.asked
    runs.failing["quick"] = OSError(28, "No space left on device")
    code, _, errors = gliascope("--data", data, "--out", tmp_path / "out", "--recipes", "quick")
    assert code == 2
    assert errors.strip().splitlines()[-1].startswith("error: no recipe could be trained; the first: ")
    assert "No space left" in errors


@pytest.mark.usefixtures("same_export")
def test_a_recipe_is_really_trained(
    make_source: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_source({f"{part}/{label}": 12 for part in ("Training", "Testing") for label in LABELS}, "masoud7023")
    sets = [argument for override in TINY if "epochs" not in override for argument in ("--set", override)]
    arguments = ("--data", tmp_path, "--out", tmp_path / "out", "--recipes", "quick", "--quickly", 8, *sets)
    code, printed, errors = gliascope(*arguments)
    assert code == 0, errors
    assert "A trial" in printed
    found = read(tmp_path / "out")["quick"]
    assert found["protocols"]["official"]["n"] == 32
    report = json.loads((tmp_path / "out" / "quick" / "report.json").read_text())
    assert len(report["curves"]) == 1
    again = Runs()
    monkeypatch.setattr(reproduce, "run", again)
    assert gliascope(*arguments)[0] == 0
    assert not again.asked


def test_a_sample_is_the_same_every_time_and_of_every_part(
    make_source: Callable[..., Path], official_source: Path
) -> None:
    catalog = scan([official_source, make_source({"glioma": 5, "no": 2}, "other")])
    some = catalog.sample_slices(3)
    assert some.frame.height == 8 * 3 + 3 + 2
    assert catalog.sample_slices(3).frame.equals(some.frame)
    assert catalog.sample_slices(99).frame.equals(catalog.frame)


def test_slices_that_know_no_kinds_of_tumour_come_with_a_map_of_labels(
    runs: Runs, data: Path, tmp_path: Path
) -> None:
    (data / "ct").mkdir()
    assert gliascope("--data", data, "--out", tmp_path / "out", "--recipes", "resnet-scratch")[0] == 0
    labels = load_mapping(tmp_path / "out" / "resnet-scratch" / "labels.yaml")
    assert labels == {"glioma": "tumor", "meningioma": "tumor", "pituitary": "tumor"}
    assert runs.asked[0]["labels"] == tmp_path / "out" / "resnet-scratch" / "labels.yaml"
