"""Test slices that a report shows: the most confident mistakes, and some at random."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gliascope.commands.evaluated_model import EvaluatedModel, ModelPredictions
from gliascope.evaluation.metrics import confident_mistakes
from gliascope.evaluation.scores import Scores
from gliascope.inference.overlay import draw_overlay
from gliascope.reports.pages.plots import PredictionExample
from gliascope.reports.pages.report import MistakePicture
from gliascope.reports.report import Mistake
from gliascope.splits.split import Split

MISTAKES = 12
DRAWN = 24


def show_mistakes(
    split: Split, model: EvaluatedModel, test: Scores, answers: ModelPredictions
) -> list[tuple[Mistake, MistakePicture]]:
    """The most confident wrong answers, one of a group, with pictures and maps."""
    frame = split.subset("test")
    numbers = confident_mistakes(test, MISTAKES)
    maps = None if answers.outputs is None else answers.outputs.maps
    found = []
    for number, pixels in zip(numbers.tolist(), model.pictures(frame[numbers]), strict=True):
        predicted = int(test.predictions[number])
        shown = None
        if maps is not None and answers.square is not None:
            shown = _png(np.asarray(draw_overlay(pixels, maps[number, predicted], answers.square)))
        found.append(
            (
                Mistake(
                    file=frame["path"][number],
                    label=test.classes[int(test.labels[number])],
                    predicted=test.classes[predicted],
                    probability=float(test.confidences[number]),
                ),
                MistakePicture(_png(pixels), shown),
            )
        )
    return found


def random_examples(split: Split, model: EvaluatedModel, test: Scores, seed: int) -> list[PredictionExample]:
    """DRAWN test slices at random."""
    frame = split.subset("test")
    numbers = np.random.default_rng(seed).permutation(len(test))[:DRAWN]
    return [
        PredictionExample(
            pixels,
            test.classes[int(test.labels[number])],
            test.classes[int(test.predictions[number])],
            float(test.confidences[number]),
        )
        for number, pixels in zip(numbers.tolist(), model.pictures(frame[numbers]), strict=True)
    ]


def _png(pixels: NDArray[np.uint8]) -> bytes:
    content = BytesIO()
    Image.fromarray(pixels).save(content, format="png")
    return content.getvalue()
