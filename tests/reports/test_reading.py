"""Results are read by the class that writes them, and keep the shape that others read."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from outs import make_out
from reported import epoch, make_report, protocol_report

from gliascope.errors import ReportError
from gliascope.evaluation.scores import Scores
from gliascope.reports.comparison import Comparison
from gliascope.reports.report import Report

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def before(name: str) -> dict[str, Any]:
    """What gliascope 0.1.0 wrote before its results were typed, but for lists that were cut short."""
    content: dict[str, Any] = json.loads((HERE / f"{name}-0.1.0.json").read_text())
    return content


def renamed(tree: dict[str, Any], **names: str) -> None:
    for old, new in names.items():
        tree[new] = tree.pop(old)


def holds(new: Any, old: Any, where: str = "") -> None:
    """Raise AssertionError unless all that is in `old` is in `new`, too; what is null may be absent."""
    if isinstance(old, dict):
        for key, value in old.items():
            assert key in new or value in (None, {}), f"{where}.{key}"
            holds(new.get(key), value, f"{where}.{key}")
    elif isinstance(old, list):
        assert len(new) == len(old), where
        for number, (mine, theirs) in enumerate(zip(new, old, strict=True)):
            holds(mine, theirs, f"{where}.{number}")
    else:
        assert new == old, where


def test_a_report_keeps_the_shape_it_had_but_for_names() -> None:
    old = before("report")
    renamed(old, parts="subsets", rejects="unreadable", foreign="external")
    for result in old["protocols"].values():
        renamed(result, looks="earlier_evaluations", rounds="folds")
        if result["folds"]:
            renamed(result["folds"], rounds="each")
        for used in result["validation"]:
            renamed(used, round="fold")
    report = Report.model_validate_json(json.dumps(old))
    holds(report.model_dump(mode="json"), old)
    assert report.headline.accuracy.low is not None
    assert [folds.folds is None for folds in report.protocols.values()] == [True, False]


def test_a_comparison_keeps_the_shape_it_had_but_for_names() -> None:
    old = before("compare")
    renamed(old, rounds="folds")
    for run in old["runs"]:
        renamed(run, place="folder")
    holds(Comparison.model_validate_json(json.dumps(old)).model_dump(mode="json"), old)


def test_what_is_written_is_read_as_it_was(tmp_path: Path) -> None:
    scores = Scores(np.tile([0.9, 0.1], (6, 1)), np.zeros(6, int), np.zeros(6, int), ("no", "yes"))
    report = make_report({"p": protocol_report(scores)}, curves=(epoch(1),), chosen_epoch=1)
    report.write(tmp_path)
    assert report.headline.macro_auroc.value is None  # of one class alone
    assert Report.load(tmp_path / "report.json") == report


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "report.json: cannot be read (No such file or directory); make it with `gliascope evaluate`"),
        ("{", "report.json: not a report of this version of gliascope (Invalid JSON"),
        ("[]", "report.json: not a report of this version"),
        (json.dumps(before("report")), "make it again with `gliascope evaluate`"),
        ('{"protocols": {}}', "make it again with `gliascope evaluate`"),
    ],
)
def test_what_is_no_report_of_this_version_is_named(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    with pytest.raises(ReportError) as error:
        Report.load(tmp_path / "report.json")
    assert str(tmp_path / "report.json") in str(error.value)
    assert message in str(error.value)


def test_a_field_that_is_missing_is_not_guessed(tmp_path: Path) -> None:
    make_out(tmp_path, "quick")
    content = json.loads((tmp_path / "report.json").read_text())
    del content["protocols"]["official"]["studies"]
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(
        ReportError, match="lacks fields that this version of gliascope writes; make it again"
    ):
        Report.load(tmp_path / "report.json")


def test_a_field_that_is_not_known_is_refused(tmp_path: Path) -> None:
    make_out(tmp_path, "quick")
    content = json.loads((tmp_path / "report.json").read_text())
    content["protocols"]["official"]["luck"] = 1
    (tmp_path / "report.json").write_text(json.dumps(content))
    with pytest.raises(ReportError, match=r"protocols\.official\.luck: Extra inputs"):
        Report.load(tmp_path / "report.json")


def test_a_number_that_is_none_is_never_written_as_nan(tmp_path: Path) -> None:
    scores = Scores(np.tile([0.9, 0.1], (6, 1)), np.arange(6) % 2, np.arange(6), ("no", "yes"))
    report = make_report({"p": protocol_report(scores)})
    with pytest.raises(ValueError, match="not JSON compliant"):
        report.model_copy(update={"curves": (epoch(1, val_loss=float("nan")),)}).write(tmp_path)
    assert not list(tmp_path.iterdir())


def test_reports_are_read_without_torch_and_without_figures() -> None:
    code = (
        "import sys, gliascope.reports.report, gliascope.reports.comparison, gliascope.reports.reproduction;"
        "print([name for name in ('torch', 'matplotlib', 'sklearn', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
