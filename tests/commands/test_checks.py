"""What can be told before slices are read is told then; and the default that suits the sources."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import LABELS, TINY
from typer.testing import CliRunner

from gliascope.audit.result import DECISIONS_SCHEMA
from gliascope.cli import app
from gliascope.commands import run as run_module
from gliascope.dataset.scan import scan
from gliascope.errors import SplitError
from gliascope.splits.split import split

SETS = [argument for override in TINY for argument in ("--set", override)]


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever reads slices fails the test."""
    monkeypatch.setattr(run_module, "scan", lambda *_, **__: pytest.fail("slices were read"))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--protocol", "official"), "no test folder in source; use --protocol grouped"),
        (("--protocol", "grouped,official-clean"), "no test folder in source; use --protocol grouped"),
        (("--protocol", "groupd"), "unknown protocol 'groupd'; choose from official, "),
        (("--protocol", "leave-source-out"), "needs two sources or more; source is the only one"),
        (("--groups", "none.csv"), "none.csv: "),
        (("--groups", "others.csv"), "others.csv"),
        (("--decisions", "none.csv"), "none.csv: "),
        (("--decisions", "gone.csv"), "gone.csv: source/glioma/999.png is decided on, but is no file of "),
        (("--decisions", "misspelt.csv"), "new_label 'menengioma' is no class of the sources; choose from "),
        (("--labels", "none.yaml"), "none.yaml: "),
        (("--set", "weights=none.safetensors"), "none.safetensors: not found"),
        (("--set", "backbone=resnet9000"), "unknown backbone 'resnet9000'"),
        (("--set", "head.pooling=min"), "unknown pooling 'min'; choose from average, "),
        (("--set", "loss.kind=hinge"), "unknown loss 'hinge'; choose from cross_entropy, "),
        (("--set", "stages.0.optimizer=lion"), "unknown optimizer 'lion'; choose from adam, "),
        (("--set", "stages.0.freeze=backbone.nowhere"), "no part 'backbone.nowhere' to freeze"),
        (("--set", "head.sigmoid=true"), "head.sigmoid expects two classes but got 4"),
        (("--mlflow", ""), "--mlflow: expected the address of a store but got none"),
    ],
)
def test_what_can_be_told_before_slices_are_read_is_told_then(
    make_source: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, str],
    message: str,
) -> None:
    source = make_source(dict.fromkeys(LABELS, 2))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "others.csv").write_text("path,group\nelsewhere/x.png,1\n")
    for name, decision in {
        "gone.csv": "suspect_label,source/glioma/999.png,0,glioma,,,,0.9,drop,",
        "misspelt.csv": "suspect_label,source/glioma/000.png,0,glioma,,,,0.9,relabel,menengioma",
    }.items():
        (tmp_path / name).write_text(f"{','.join(DECISIONS_SCHEMA)}\n{decision}\n")
    told = CliRunner().invoke(app, ["run", str(source), "--out", "out", *options])
    assert told.exit_code == 2, told.output
    assert message in told.output
    assert len(told.output.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("below", ["", "results"])
def test_results_are_not_written_among_the_slices(make_source: Callable[..., Path], below: str) -> None:
    """The next run took the pictures of the report for slices."""
    source = make_source(dict.fromkeys(LABELS, 2))
    told = CliRunner().invoke(app, ["run", str(source), "--out", str(source / below)])
    assert told.exit_code == 2, told.output
    assert f"lies in {source}" in told.output
    assert sorted(path.name for path in source.iterdir()) == sorted(LABELS)


def test_without_a_test_folder_the_default_is_grouped_and_said_to_be(
    make_source: Callable[..., Path],
) -> None:
    catalog = scan([make_source(dict.fromkeys(LABELS, 12))])
    (made,) = split(catalog)
    assert made.protocol == "grouped"
    with pytest.raises(SplitError, match="no test folder"):
        split(catalog, ["official"])


@pytest.mark.usefixtures("same_export")
def test_a_flat_source_goes_all_the_way_by_groups(make_source: Callable[..., Path], tmp_path: Path) -> None:
    """The README's first command on the commonest layout ended, after minutes, with exit code 2."""
    source = make_source(dict.fromkeys(LABELS, 14))
    done = CliRunner().invoke(app, ["run", str(source), "--out", str(tmp_path / "out"), *SETS])
    assert done.exit_code == 0, done.output
    assert "No source has a test folder of its own" in done.output
    assert "--protocol grouped" in done.output
    report = json.loads((tmp_path / "out" / "report.json").read_text(encoding="utf-8"))
    assert list(report["protocols"]) == ["grouped"]
    assert "No source has a test folder of its own" in report["protocols"]["grouped"]["description"]
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "No source has a test folder of its own" in page
