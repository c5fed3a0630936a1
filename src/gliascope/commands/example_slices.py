"""Test slices for the report: the most confident mistakes, and random examples."""

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

MAX_MISTAKES = 12
MAX_EXAMPLES = 24


def mistakes_with_pictures(
    split: Split, model: EvaluatedModel, test: Scores, predictions: ModelPredictions
) -> list[tuple[Mistake, MistakePicture]]:
    """Return the most confident mistakes on the test slices, at most one of each group, with pictures.

    Parameters
    ----------
    split
        The split whose test slices were scored.
    model
        The model that was scored.
    test
        Probabilities and labels of the test slices.
    predictions
        What the model returned for the test slices.
    """
    frame = split.subset("test")
    numbers = confident_mistakes(test, MAX_MISTAKES)
    maps = None if predictions.outputs is None else predictions.outputs.maps
    mistakes = []
    for number, pixels in zip(numbers.tolist(), model.pictures(frame[numbers]), strict=True):
        predicted = int(test.predictions[number])
        overlay = None
        if maps is not None and predictions.map_box is not None:
            overlay = _png(np.asarray(draw_overlay(pixels, maps[number, predicted], predictions.map_box)))
        mistakes.append(
            (
                Mistake(
                    file=frame["path"][number],
                    label=test.classes[int(test.labels[number])],
                    predicted=test.classes[predicted],
                    probability=float(test.confidences[number]),
                ),
                MistakePicture(_png(pixels), overlay),
            )
        )
    return mistakes


def random_examples(split: Split, model: EvaluatedModel, test: Scores, seed: int) -> list[PredictionExample]:
    """Draw MAX_EXAMPLES test slices at random, with label, prediction and probability."""
    frame = split.subset("test")
    numbers = np.random.default_rng(seed).permutation(len(test))[:MAX_EXAMPLES]
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
