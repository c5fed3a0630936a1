"""Folders as `run` leaves them, made by hand: no training, and a graph that only means grey levels."""

import hashlib
from pathlib import Path

import numpy as np
import onnx
import polars as pl
from onnx import TensorProto, helper
from reported import RUN, TRAINED, epoch, make_report, protocol_report

from gliascope.commands.predictions import write_predictions
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.reports.report import find_leak

TYPES = ("glioma", "meningioma", "no_tumor", "pituitary")
BINARY = ("no_tumor", "tumor")
SMALL = Preprocessing(size=16)


def make_out(
    folder: Path,
    recipe: str,
    accuracy: float = 0.8,
    n: int = 60,
    classes: tuple[str, ...] = TYPES,
    protocols: tuple[str, ...] = ("official",),
    group_size: int = 1,
    watched: bool = False,
) -> Path:
    """Write report, predictions and bundle of a model that is right on the first share of each protocol."""
    bundle = make_bundle(recipe, classes)
    bundle.write(folder / "bundle")
    frames, results = [], {}
    for protocol in protocols:
        labels = np.arange(n) % len(classes)
        said = np.where(np.arange(n) < round(accuracy * n), labels, (labels + 1) % len(classes))
        probabilities = 0.02 + 0.9 * np.eye(len(classes))[said]
        probabilities /= probabilities.sum(axis=1, keepdims=True)
        scores = Scores(probabilities, labels, np.arange(n) // group_size, classes)
        frames.append(_frame(protocol, scores))
        results[protocol] = protocol_report(scores)
    watching = {"test_accuracy": 0.9} if watched else {}
    curves = tuple(epoch(number, val_accuracy=0.8 / number, **watching) for number in (1, 2))
    report = make_report(
        results,
        title=f"{recipe} on source",
        created="2026-11-21T20:00:00+00:00",
        curves=curves,
        chosen_epoch=1,
        leak=find_leak(curves, 1),
        run=RUN,
        model=TRAINED.model_copy(
            update={"parameters": 12, "sha256": bundle.info.model_sha256, "calibrator": None}
        ),
    )
    write_predictions(pl.concat(frames, how="diagonal"), folder)
    report.write(folder)
    return folder


def make_bundle(
    recipe: str,
    classes: tuple[str, ...],
    slope: float = 1.0,
    preprocessing: Preprocessing = SMALL,
) -> Bundle:
    """Logits from the mean grey level of slices."""
    weights = slope * np.arange(len(classes), dtype=np.float32)[None]
    nodes = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
        helper.make_node("ReduceMean", ["flat", "axes"], ["features"], keepdims=1),
        helper.make_node("MatMul", ["features", "weights"], ["logits"]),
    ]
    graph = helper.make_graph(
        nodes,
        "grey",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", *preprocessing.shape])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", len(classes)]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1]),
        ],
        [
            onnx.numpy_helper.from_array(weights, "weights"),
            onnx.numpy_helper.from_array(np.array([1]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    content = model.SerializeToString()
    info = BundleInfo(
        recipe=recipe,
        classes=classes,
        preprocessing=preprocessing,
        tta={},
        activation_maps=False,
        parameters=12,
        model_sha256=hashlib.sha256(content).hexdigest(),
        versions={},
        licences={},
    )
    return Bundle(info, content)


def _frame(protocol: str, scores: Scores) -> pl.DataFrame:
    n = len(scores)
    facts = {
        "protocol": [protocol] * n,
        "fold_name": [""] * n,
        "source": ["source"] * n,
        "path": [f"source/{number:03d}.png" for number in range(n)],
        "index": pl.Series([0] * n, dtype=pl.Int32),
        "modality": ["MR"] * n,
        "plane": pl.Series([None] * n, dtype=pl.String),
        "format": ["png"] * n,
        "study": pl.Series([None] * n, dtype=pl.String),
        "pixel_hash": [f"{number:032x}" for number in range(n)],
        "group": scores.groups,
        "label": [scores.classes[label] for label in scores.labels],
    }
    columns = {f"p_{name}": scores.probabilities[:, number] for number, name in enumerate(scores.classes)}
    return pl.DataFrame(facts | columns)
