"""The same network on every engine there is here, and a Bundle in eight bits.

OpenVINO is measured where it is installed.
"""

import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from benchmarks.growth import VERBS
from benchmarks.measure import Row, timed
from gliascope.dataset.catalog import Catalog
from gliascope.export.onnx import export_bundle
from gliascope.export.tta import DeployedNetwork
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import open_session
from gliascope.models.backbones import complete_recipe
from gliascope.models.classifier import build_classifier
from gliascope.recipes import load_recipe
from gliascope.splits.split import load_splits
from gliascope.store.store import store
from gliascope.training.environment import keep_freed_memory

NETWORKS = {
    "Lite0": "tf_efficientnet_lite0",
    "ResNet50": "resnet50",
    "EfficientNetV2-S": "tf_efficientnetv2_s.in1k",
}
CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
BATCH, ROUNDS = 32, 3
CALIBRATION = 200  # validation slices
Pixels = NDArray[np.uint8]
Run = Callable[[Pixels], object]


def engines(_data: Path, _work: Path) -> list[Row]:
    """Milliseconds a slice of a forward pass, batches of 32, random weights, all cores, float32."""
    # Each in a process of its own: the allocator, once tuned, stays so.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        return list(pool.map(_engines, NETWORKS))


def _engines(name: str) -> Row:
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224), dtype=np.uint8)
    recipe = complete_recipe(load_recipe("linear-probe", [f"backbone={NETWORKS[name]}", "weights=random"]))
    classifier = build_classifier(recipe, len(CLASSES))
    deployed = DeployedNetwork(classifier, recipe).eval()
    with tempfile.TemporaryDirectory() as folder:
        model = export_bundle(classifier, recipe, CLASSES, {}).model
        ways = _ways(deployed, model, [pixels], Path(folder))
        told = ", ".join(f"{way} {_milliseconds(run, pixels)}" for way, run in ways)
    return f"{name}, forward pass, ms a slice", told, ""


def int8(data: Path, work: Path) -> list[Row]:
    """The Bundle that `verbs` made in eight bits: speed, and accuracy on the official test."""
    out = work / VERBS
    bundle = Bundle.load(out / "bundle")
    (split,) = load_splits(out / "split.parquet")
    images = store(Catalog.load(out / "catalog.parquet").frame, bundle.info.preprocessing)
    validation, test = (images.rows(split.subset(part)["pixel_hash"]) for part in ("val", "test"))
    drawn = np.random.default_rng(0).permutation(validation)[:CALIBRATION]
    with tempfile.TemporaryDirectory() as folder:
        calibration = [images.pixels[some] for some in np.array_split(drawn, CALIBRATION // 10)]
        small = _quantised(bundle.model, calibration, Path(folder))
    right, seconds = {}, {}
    for name, model in (("float32", bundle.model), ("int8", small)):
        session, labels = open_session(model), split.class_numbers("test")
        began = time.perf_counter()
        said = [_answer(session, images.pixels[some]) for some in np.array_split(test, len(test) // BATCH)]
        seconds[name] = 1e3 * (time.perf_counter() - began) / len(test)
        right[name] = float((np.concatenate(said).argmax(axis=1) == labels).mean())
    name = "INT8 Bundle of `quick` (float32, INT8)"
    size = f"{len(small) / len(bundle.model):.2f} × the size"
    return [
        (f"{name}, ms a slice", f"{seconds['float32']:.1f}, {seconds['int8']:.1f}; {size}", "faster"),
        (f"{name}, accuracy, official", f"{right['float32']:.2%}, {right['int8']:.2%}", "within 0.2 points"),
    ]


def _ways(
    deployed: DeployedNetwork, model: bytes, calibration: list[Pixels], folder: Path
) -> Iterator[tuple[str, Run]]:
    """To be run as they come: what follows the first changes the allocator and the network."""
    yield "PyTorch", _torch(deployed)
    keep_freed_memory()
    last = deployed.to(memory_format=torch.channels_last)
    yield "channels last, tuned malloc", _torch(last)
    yield "… compiled", _torch(torch.compile(last))
    yield "… bf16", _torch(last, bf16=True)
    session = open_session(model)
    yield "ONNX Runtime", lambda pixels: _answer(session, pixels)
    if importlib.util.find_spec("openvino"):
        yield "OpenVINO", _openvino(model, folder)
    small = open_session(_quantised(model, calibration, folder))
    yield "ONNX Runtime INT8", lambda pixels: _answer(small, pixels)


def _torch(network: Callable[..., Any], bf16: bool = False) -> Run:
    def run(pixels: Pixels) -> object:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            return network(torch.from_numpy(pixels))

    return run


def _openvino(model: bytes, folder: Path) -> Run:
    import openvino

    (folder / "model.onnx").write_bytes(model)
    core = openvino.Core()
    return core.compile_model(folder / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})  # type: ignore[no-any-return]


def _answer(session: onnxruntime.InferenceSession, pixels: Pixels) -> Any:
    return session.run(["logits"], {"pixels": pixels})[0]


class _Batches(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, batches: list[Pixels]) -> None:
        self.batches = iter(batches)

    def get_next(self) -> dict[str, Pixels] | None:
        batch = next(self.batches, None)
        return None if batch is None else {"pixels": batch}


def _quantised(model: bytes, calibration: list[Pixels], folder: Path) -> bytes:
    """Static, per channel: convolutions, matrix products and sums."""
    paths = [folder / f"{name}.onnx" for name in ("whole", "prepared", "small")]
    paths[0].write_bytes(model)
    quant_pre_process(paths[0], paths[1], skip_symbolic_shape=True)
    quantize_static(
        paths[1], paths[2], _Batches(calibration), per_channel=True, weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8, op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
    )  # fmt: skip
    return paths[2].read_bytes()


def _milliseconds(run: Run, pixels: Pixels) -> str:
    return timed(partial(run, pixels), ROUNDS, before=1).told(1e3 / len(pixels), 1)
