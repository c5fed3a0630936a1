"""A Model: found, loaded, shared by threads, pickled, and at one with the command line."""

import multiprocessing
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import walkthrough
from doors import DEEP, HEAD, said
from making import Make
from quadrants import quadrant_bundle
from tiny import slice_image
from typer.testing import CliRunner

import gliascope
from gliascope import Model
from gliascope.cli import app
from gliascope.errors import (
    BundleError,
    ForkedError,
    GliascopeError,
)
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict_files import predict_files


def test_probabilities_are_as_scikit_learn_has_them(model: Model) -> None:
    one, several = model.predict_proba(HEAD), model.predict_proba([HEAD, DEEP])
    assert (one.shape, one.dtype, several.shape) == ((4,), np.float64, (2, 4))
    assert several[0] == pytest.approx(one)
    assert several.sum(axis=1) == pytest.approx([1, 1])
    assert model.predict_proba([]).shape == (0, 4)
    assert model.predict([]) == []


def test_a_bundle_is_found_in_results_and_in_runs(tmp_path: Path) -> None:
    folder = walkthrough.write(tmp_path)
    for path in ("results", "results/bundle", "results/run", "results/run/model"):
        assert gliascope.load(str(folder / path)).classes == quadrant_bundle().info.classes
    assert gliascope.load(folder / "results").card == "# Model card: quadrants\n"
    assert "no model card" in gliascope.load(folder / "results" / "run").card
    assert gliascope.load(folder / "results").card._repr_markdown_().startswith("# Model card")
    quadrant_bundle().write(folder / "results" / "run-2" / "model")
    assert gliascope.load(folder / "results").bundle.info.recipe == "quadrants"
    (folder / "results" / "bundle").rename(tmp_path / "gone")
    with pytest.raises(BundleError, match="holds 2 bundles"):
        gliascope.load(folder / "results")
    with pytest.raises(BundleError, match="not a bundle"):
        gliascope.load(folder / "study")
    with pytest.raises(BundleError, match="not a bundle"):
        gliascope.load(folder / "none")
    assert gliascope.load(tmp_path / "gone", level=0.9).bundle.info.calibrator.level == 0.9
    with pytest.raises(GliascopeError, match=r"level 0\.9999"):
        gliascope.load(tmp_path / "gone", level=0.9999)


def test_threads_share_a_model(model: Model) -> None:
    pictures = [np.asarray(slice_image(label % 4, label)) for label in range(24)]
    expected = [said(model.predict(one)) for one in pictures]
    with ThreadPoolExecutor(6) as pool:
        assert [said(one) for one in pool.map(model.predict, pictures)] == expected


def test_a_pickled_model_says_the_same(model: Model) -> None:
    again = pickle.loads(pickle.dumps(model))
    assert said(again.predict(HEAD)) == said(model.predict(HEAD))
    assert (again.classes, again.card) == (model.classes, model.card)
    finding = pickle.loads(pickle.dumps(model.predict(HEAD)))
    assert said(finding) == said(model.predict(HEAD))


def test_a_forked_process_is_told_to_load_its_own(model: Model) -> None:
    """It would wait for threads that it does not have."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def child() -> None:
        try:
            model.predict(HEAD)
        except ForkedError as error:
            theirs.send(str(error))

    process = context.Process(target=child)
    process.start()
    assert ours.poll(60)
    assert "load it in the child" in ours.recv()
    process.join(60)


def test_the_command_line_finds_the_bundle_of_results_and_says_the_same(tmp_path: Path) -> None:
    folder, out = walkthrough.write(tmp_path), tmp_path / "findings.jsonl"
    arguments = ["predict", folder / "results", folder / "study", "--out", out, "--level", "0.9"]
    shown = CliRunner().invoke(app, [str(one) for one in arguments])
    assert shown.exit_code == 0, shown.output
    study = gliascope.load(folder / "results", level=0.9).predict_study(folder / "study")
    assert out.read_text().splitlines() == [one.to_json() for one in (*study.slices, study)]


def test_a_real_network_agrees_with_the_command_line(make: Make, bundle: Bundle) -> None:
    file = make.image(HEAD, "png")
    (expected,) = predict_files(bundle, [file]).findings
    finding = Model(bundle).predict(HEAD)
    assert finding.probabilities == pytest.approx(expected.probabilities)
    assert finding.input_pixels is not None
    assert finding.input_pixels.shape[:2] == (64, 64)
