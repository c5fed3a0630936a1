"""One geometry of maps: a hot cell lies at the same place of the head, whichever page or file shows it."""

import base64
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from PIL import Image

from gliascope.commands import explain as explain_module
from gliascope.commands.evaluated_model import ModelPredictions, RunModel
from gliascope.commands.example_slices import mistakes_with_pictures
from gliascope.commands.lesion_cases import LesionCase, map_on_slice
from gliascope.evaluation.localisation import PeakPositions
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Outputs
from gliascope.inference.finding import Finding
from gliascope.inference.predict import PreparedSlice
from gliascope.inference.predict_files import _PredictChunk
from gliascope.io.slices import Slice
from gliascope.preprocessing import preprocess as preprocessing_module
from gliascope.preprocessing.preprocess import Preprocessing, preprocess, visible_box
from gliascope.recipes import load_recipe, recipe_names
from gliascope.server.findings import StudyPseudonyms, slice_finding
from gliascope.splits.split import Split

HEIGHT, WIDTH, CELLS = 190, 250, 7
HEAD = (20, 170, 60, 220)
HOT = (2, 4)
MADE = {
    "as it is": {},
    "centre": {"size": 256, "fit": "cover", "centre": 224},
    "odd centre": {"size": 75, "centre": 64},
    "head": {"crop": "head", "size": 64},
    "head in a square": {"crop": "head", "fit": "pad", "size": 96},
    "pad": {"fit": "pad", "size": 48},
    "cover": {"fit": "cover", "size": 64},
    "head, cover, centre": {"crop": "head", "fit": "cover", "size": 72, "centre": 64},
    "pad, centre": {"fit": "pad", "size": 100, "centre": 80},
}
RECIPES = {name: load_recipe(name).preprocessing.model_dump() for name in recipe_names()}


@pytest.fixture(autouse=True)
def head(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocessing_module, "head_box", lambda _grey: HEAD)


def coordinates() -> NDArray[np.uint8]:
    """A slice whose pixels say where they are: its column in red, its row in green."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    return np.dstack([columns, rows, np.zeros_like(rows)]).astype(np.uint8)


def anatomical(stored: NDArray[np.uint8], row: float, column: float) -> tuple[float, float]:
    """Which place of the slice a place of a stored `coordinates` shows: row, column, in pixels."""
    top, left = int(row - 0.5), int(column - 0.5)
    down, across = row - 0.5 - top, column - 0.5 - left
    four = stored[top : top + 2, left : left + 2].astype(float)
    beside = four[:, 0] * (1 - across) + four[:, 1] * across
    found = beside[0] * (1 - down) + beside[1] * down
    return float(found[1]) + 0.5, float(found[0]) + 0.5


def peak(strength: NDArray[Any]) -> tuple[float, float]:
    """Middle of what is half as strong as the strongest, or more: row, column, in pixels from the edge."""
    rows, columns = np.nonzero(strength >= strength.max() / 2)
    weights = strength[rows, columns].astype(float)
    return float(np.average(rows, weights=weights)) + 0.5, float(np.average(columns, weights=weights)) + 0.5


def tint(picture: Image.Image, under: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How strongly an overlay's colour, which alone has much red on black, stands over `under`."""
    return (np.asarray(picture).astype(float) - under)[:, :, 0]


@pytest.mark.parametrize("values", [*MADE.values(), *RECIPES.values()], ids=[*MADE, *RECIPES])
def test_a_hot_cell_lies_at_one_place_through_every_door(
    values: dict[str, Any], bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Preprocessing.model_validate(values)
    told = Preprocessing.model_validate(values | {"channels": "rgb", "standardise": False})
    side = wanted.input_size / CELLS
    row, column = (wanted.margin + (cell + 0.5) * side for cell in HOT)
    where = anatomical(preprocess(coordinates(), told), row, column)
    black = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    map_ = np.zeros((CELLS, CELLS), dtype=np.float32)
    map_[HOT] = 1
    item = Slice(
        black, tmp_path / "a.png", 0, "png", label="glioma", mask=np.zeros((HEIGHT, WIDTH), dtype=bool)
    )
    finding = Finding("a.png", 0, None, "glioma", {"glioma": 1.0}, None, None, "unchecked", map=map_)
    own = SimpleNamespace(info=bundle.info.model_copy(update={"preprocessing": wanted}), calibrator=None)

    def of_predict() -> tuple[float, float]:
        work = SimpleNamespace(overlay_folder=tmp_path, bundle=own)
        _PredictChunk.save_overlay(work, item, finding)  # type: ignore[arg-type]
        (file,) = tmp_path.glob("*.png")
        return peak(tint(Image.open(file), black))

    def of_the_server() -> tuple[float, float]:
        told = slice_finding(
            PreparedSlice(item, black),
            finding,
            file="a.png",
            pseudonyms=StudyPseudonyms(b"salt"),
            saliency_preprocessing=wanted,
        )
        assert told.saliency is not None
        return peak(np.asarray(Image.open(BytesIO(base64.b64decode(told.saliency))))[:, :, 3])

    def of_explain() -> tuple[float, float]:
        pictures: list[Image.Image] = []

        def kept(image: NDArray[np.uint8], side: int) -> bytes:
            pictures.append(Image.fromarray(image))
            return b""

        monkeypatch.setattr(explain_module, "encode_jpeg", kept)
        case = LesionCase(item, black, 0, np.array([1.0]), {"grad_cam": map_})
        model = SimpleNamespace(preprocessing=wanted, classes=("glioma",))
        hits = {"grad_cam": PeakPositions(np.array([0.0]), np.array([1.0]))}
        explain_module._seen(model, case, hits, 0)  # type: ignore[arg-type]
        return peak(tint(pictures[-1], black))

    def of_cases() -> tuple[float, float]:
        case = LesionCase(item, black, 0, np.array([1.0]), {"grad_cam": map_})
        return peak(map_on_slice(case, "grad_cam", wanted))

    for door in (of_predict, of_the_server, of_explain, of_cases):
        assert door() == pytest.approx(where, abs=1.01), door.__name__
    top, bottom, left, right = visible_box(black, wanted)
    row, column = (start + (cell + 0.5) * (end - start) / CELLS
                   for start, end, cell in ((top, bottom, HOT[0]), (left, right, HOT[1])))  # fmt: skip
    assert (row, column) == pytest.approx(where, abs=1.01)


@pytest.mark.parametrize("values", [*MADE.values(), *RECIPES.values()], ids=[*MADE, *RECIPES])
def test_the_report_draws_it_there_on_its_stored_picture(values: dict[str, Any], bundle: Bundle) -> None:
    """A hot cell of vgg16-sgd was drawn at 22 pixels instead of 36, as if the network saw all of them."""
    wanted = Preprocessing.model_validate(values)
    stored = np.zeros(wanted.shape, dtype=np.uint8)
    map_ = np.zeros((1, 2, CELLS, CELLS), dtype=np.float32)
    map_[0, 1][HOT] = 1
    outputs = Outputs(np.zeros((1, 2), dtype=np.float32), {}, map_)
    model = object.__new__(RunModel)
    model.bundle = SimpleNamespace(info=bundle.info.model_copy(update={"preprocessing": wanted}))  # type: ignore[assignment]
    model.calibrator = None
    model.cached_outputs = _Memory(stored, outputs)  # type: ignore[assignment]
    frame = pl.DataFrame({"path": ["a.png"], "subset": ["test"]})
    answers = model.predict(frame, "test")
    assert isinstance(answers, ModelPredictions)
    scores = Scores(np.array([[0.1, 0.9]]), np.array([0]), np.array([0]), ("glioma", "no_tumor"))
    ((_, mistake),) = mistakes_with_pictures(Split(frame), model, scores, answers)
    assert mistake.overlay is not None
    picture = Image.open(BytesIO(mistake.overlay))
    side = wanted.input_size / CELLS
    expected = tuple(wanted.margin + (cell + 0.5) * side for cell in HOT)
    assert peak(tint(picture, np.zeros((*stored.shape[:2], 3)))) == pytest.approx(expected, abs=1.01)


class _Memory:
    """A store of one picture, and a graph of one answer."""

    def __init__(self, stored: NDArray[np.uint8], outputs: Outputs) -> None:
        self.stored, self.outputs = stored, outputs

    def __call__(self, _frame: pl.DataFrame, _part: str) -> Outputs:
        return self.outputs

    def pictures(self, _frame: pl.DataFrame) -> list[NDArray[np.uint8]]:
        return [self.stored]
