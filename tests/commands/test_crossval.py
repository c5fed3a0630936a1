"""Cross-validation through the command line, in this process; the exported model is the same for all."""

import json
from pathlib import Path

import numpy as np
import pytest
from html_page import check_page
from tiny import TINY
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.inference.bundle import Bundle
from gliascope.training.activations import Activations

SETS = [argument for override in TINY for argument in ("--set", override)]


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int, int]]:
    """Folder, view and store row of all that went through the frozen part."""
    seen: list[tuple[str, int, int]] = []
    original = Activations._compute

    def compute(self: Activations, view: int, rows: np.ndarray, *rest: object) -> None:
        seen.extend((self.folder.name, view, row) for row in rows.tolist())
        original(self, view, rows, *rest)

    monkeypatch.setattr(Activations, "_compute", compute)
    return seen


def crossval(*arguments: object) -> str:
    done = CliRunner().invoke(app, ["crossval", *map(str, arguments), *SETS])
    if done.exit_code == 1 and done.exception:
        raise done.exception
    assert done.exit_code == 0, done.stderr
    return done.stdout


def test_folds_share_what_is_computed_and_repeats_go_on_from_them(
    official_source: Path,
    tmp_path: Path,
    bundle: Bundle,
    computed: list[tuple[str, int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gliascope.training.run.export_bundle", lambda *_: bundle)
    monkeypatch.setattr("gliascope.splits.protocols.FOLD_COUNT", 2)
    monkeypatch.setenv("COLUMNS", "200")
    out = tmp_path / "out"
    crossval(official_source, "--out", out)
    runs = {path.name for path in out.glob("run*")}
    assert runs == {"run", "run-folds-fold-2"}
    assert len(set(computed)) == len(computed)
    assert len(list((tmp_path / "cache" / "store").iterdir())) == 1
    once = json.loads((out / "report.json").read_text())["protocols"]["folds"]
    assert (once["n"], once["folds"]["repeats"]) == (64, None)
    first, weights = len(computed), (out / "run" / "chosen.safetensors").stat().st_mtime_ns

    printed = crossval(official_source, "--out", out, "--repeats", 2)
    assert {path.name for path in out.glob("run*")} == {
        *runs, "run-folds-repeat-2-fold-1", "run-folds-repeat-2-fold-2",
    }  # fmt: skip
    assert (out / "run" / "chosen.safetensors").stat().st_mtime_ns == weights
    assert len(set(computed)) == len(computed)
    # Two views and a mirrored one of 64 slices are all there is; the first folds have seen most of them.
    assert first <= len(computed) <= 3 * 64
    twice = json.loads((out / "report.json").read_text())["protocols"]["folds"]
    assert twice["n"] == 128
    assert twice["groups"] == once["groups"]
    assert len(twice["folds"]["each"]) == 4
    repeats = twice["folds"]["repeats"]
    assert [row["n"] for row in repeats["each"]] == [64, 64]
    assert twice["accuracy"]["value"] == pytest.approx(repeats["accuracy"]["mean"])
    # The same model answers every slice twice, so nothing was learned about how far it may be trusted.
    assert twice["accuracy"] == pytest.approx(once["accuracy"])
    assert "mean ± sd of 4" in printed
    page = check_page((out / "report.html").read_text())
    assert "tests 4 models" in page.text
    assert "They were drawn 2 times, so every slice counts that often" in page.text
