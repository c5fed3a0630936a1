"""`python -m benchmarks.gpu [PART…]`: one GPU against its own limits and against plain PyTorch.

`python -m benchmarks.gpu systems` trains the published systems instead: see benchmarks/systems.py.

Slices are made up and weights random: neither changes what a step costs. A table goes
to benchmarks/results/gpu.md. Without a GPU it says so and ends.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from benchmarks import systems
from benchmarks.measure import Row, peer
from benchmarks.steps import alone, fed, seconds
from gliascope.export.onnx import export_bundle
from gliascope.models.backbones import complete_recipe
from gliascope.models.classifier import build_classifier
from gliascope.recipes import Recipe, load_recipe
from gliascope.runtime.resumable_array import ResumableArray
from gliascope.store.store import PIXELS_FILE, Store
from gliascope.training.cuda_graph import CudaGraphRunner
from gliascope.training.data import Subset, TrainingData
from gliascope.training.environment import autocast, set_determinism
from gliascope.training.features import backbone_features as frozen_features
from gliascope.training.inputs import prefetch, to_device
from gliascope.training.loop import fit
from gliascope.training.stage import StageTraining

RESULTS = Path(__file__).parent / "results" / "gpu.md"
LABELS = ("glioma", "meningioma", "no_tumor", "pituitary")
FROZEN, TRAIN, VAL = 47_000, 4_855, 857
WORKERS, STEPS = 16, 60


def limits(work: Path) -> list[Row]:
    """What the card does at its best."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    product = seconds(lambda: a @ b, 20)
    source = torch.empty(2**31, device="cuda", dtype=torch.uint8)
    copy = seconds(source.clone, 20)
    return [
        ("bf16 matrix product, 8192³", f"{2 * 8192**3 / product / 1e12:.0f} TFLOP/s", ""),
        ("copy within its memory, read and written", f"{2 * source.nbytes / copy / 1e12:.2f} TB/s", ""),
    ]


def fine_tuning(work: Path) -> list[Row]:
    """ResNet50 at 224, every parameter trained, against the same step without input and the plain loop."""
    rows: list[Row] = []
    pictures = _pictures(work)
    plain = {size: peer("torch_loop", pictures, 200, WORKERS, size)["rate"] for size in (4, 64)}
    for size in (4, 64):
        training = _training(work, size, 100 * size)
        (ours, _), resident = fed(training), alone(training, STEPS)
        name = f"ResNet50 fine-tuning at 224, batch {size}"
        rows += [
            (f"{name}: ours, from the Store, augmented", f"{ours:.0f} slices/s", ""),
            (f"{name}: the same step on resident data", f"{ours / resident:.1%} of {resident:.0f}", "≥ 95 %"),
            (
                f"{name}: plain PyTorch, {WORKERS} workers",
                f"{ours / plain[size]:.1f} × {plain[size]:.0f}",
                "≥ 8 ×" if size == 4 else "",
            ),
        ]
    return rows


def ways(work: Path) -> list[Row]:
    """The same step launched kernel by kernel, recorded, and compiled: what a recording is worth."""
    rows: list[Row] = []
    for size in (4, 64):
        training = _training(work, size, 100 * size)
        training.step = CudaGraphRunner(training._step, enabled=False)
        eager = alone(training, STEPS)
        training.step = CudaGraphRunner(training._step, enabled=True)
        recorded = alone(training, STEPS)
        training.tail = torch.compile(training.tail)  # type: ignore[assignment]
        training.step = CudaGraphRunner(training._step, enabled=True)
        began = time.perf_counter()
        compiled = alone(training, STEPS)
        spent = time.perf_counter() - began - STEPS * size / compiled
        rows += [
            (f"ResNet50's step, batch {size}, as written", f"{eager:.0f} slices/s", ""),
            (f"ResNet50's step, batch {size}, recorded", f"{recorded / eager:.2f} ×", ""),
            (
                f"ResNet50's step, batch {size}, compiled and recorded",
                f"{compiled / eager:.2f} ×, after {spent:.0f} s of compiling",
                "",
            ),
        ]
    return rows


def features(work: Path) -> list[Row]:
    recipe = complete_recipe(load_recipe("resnet50-frozen", ["weights=random"]))
    store = _store(work, recipe, FROZEN)
    began = time.perf_counter()
    frozen_features(store, np.arange(FROZEN), recipe, torch.device("cuda"))
    spent = time.perf_counter() - began
    network = nn.Sequential(*build_classifier(recipe, 4).children()).cuda().eval()
    images = torch.randn(256, 3, 224, 224, device="cuda").contiguous(memory_format=torch.channels_last)
    with torch.inference_mode(), autocast(images.device):
        limit = 256 / seconds(lambda: network[0](images), 20)
    return [
        (f"frozen ResNet50's features of {FROZEN:,} slices", f"{spent:.1f} s", "< 10 s"),
        ("the same network on resident data", f"{FROZEN / limit:.1f} s", ""),
    ]


def inputs(work: Path) -> list[Row]:
    """Input alone: what a step waits for at most."""
    training = _training(work, 64, 12_800)
    device = training.fabric.device
    compute = CudaGraphRunner(
        lambda kind, loaded: (training.inputs.train.compute(kind, loaded),), enabled=True
    )
    for epoch in range(2):  # the first one records
        began = time.perf_counter()
        for _, kind, loaded in prefetch(training._batches(epoch)):
            compute(kind, to_device(loaded[1:], device))
        torch.cuda.synchronize()
    rate = len(training.data.train.rows) / (time.perf_counter() - began)
    return [("Store to augmented network input", f"{rate:,.0f} slices/s", "> 50,000")]


def three_stages(work: Path) -> list[Row]:
    """EfficientNetV2-S, all 75 epochs: without early stopping, so the longest that it may take.

    Random weights would blow up without batch statistics, which are used here: they cost a little more.
    """
    endless = [f"stages.{n}.{change}" for n in range(3) for change in ("patience=null", "batch_norm=train")]
    recipe = complete_recipe(load_recipe("efficientnetv2s-three-stage", ["weights=random", *endless]))
    material = _material(work, recipe, TRAIN, VAL)
    set_determinism(recipe.deterministic)
    began = time.perf_counter()
    fabric, classifier = _fabric(), build_classifier(recipe, len(LABELS))
    fit(fabric, classifier, material, folder=_folder(work, "three"))
    trained = time.perf_counter() - began
    export_bundle(classifier.cpu(), recipe, LABELS, {})
    whole = time.perf_counter() - began
    return [
        (
            f"efficientnetv2s-three-stage, {TRAIN:,} + {VAL} slices, 75 epochs, exported",
            f"{whole / 60:.1f} minutes, {whole - trained:.0f} s of them for the export",
            "< 6 minutes",
        )
    ]


PARTS: dict[str, Callable[[Path], list[Row]]] = {
    part.__name__: part for part in (limits, fine_tuning, inputs, features, three_stages, ways)
}


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir(exist_ok=True)
    return folder


def _fabric() -> Fabric:
    fabric = Fabric(accelerator="cuda", devices=1)
    fabric.launch()
    return fabric


def _store(work: Path, recipe: Recipe, slices: int) -> Store:
    """Smooth pictures, each with noise of its own."""
    preprocessing = recipe.preprocessing
    folder = _folder(work, f"store-{slices}-{preprocessing.size}")
    file = ResumableArray(folder / PIXELS_FILE, slices)
    generator = np.random.default_rng(0)
    blobs = np.stack([_blob(generator, preprocessing.size) for _ in range(32)])
    for start in range(0, slices, 1000):
        rows = np.arange(start, min(start + 1000, slices))
        noise = generator.integers(0, 16, (len(rows), *preprocessing.shape), dtype=np.uint8)
        file.write(rows, np.maximum(blobs[rows % len(blobs)], noise))
    hashes = np.array([f"{row:08x}" + 24 * "0" for row in range(slices)])
    return Store.open(folder, preprocessing, hashes, np.empty(0, dtype=np.int64))


def _blob(generator: np.random.Generator, size: int) -> NDArray[np.uint8]:
    """A smooth picture: as JPEG, about as large as a slice."""
    coarse = Image.fromarray(generator.integers(0, 256, (24, 24), dtype=np.uint8))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _material(work: Path, recipe: Recipe, train: int, val: int) -> TrainingData:
    store = _store(work, recipe, train + val)
    rows = np.arange(train + val)
    labels = rows % len(LABELS)
    parts = [Subset(rows[part], labels[part], ()) for part in (slice(train), slice(train, None), slice(0))]
    return TrainingData(recipe, store, len(LABELS), *parts)


def _training(work: Path, batch: int, slices: int) -> StageTraining:
    overrides = ["weights=random", f"stages.0.batch_size={batch}", "watch_test=false"]
    recipe = complete_recipe(load_recipe("resnet50-sgd", overrides))
    set_determinism(recipe.deterministic)
    fabric, classifier = _fabric(), build_classifier(recipe, len(LABELS))
    fabric.to_device(classifier)
    return StageTraining(fabric, classifier, _material(work, recipe, slices, 64), 0)


def _pictures(work: Path, each: int = 1000) -> Path:
    folder = work / "pictures"
    generator = np.random.default_rng(0)
    for label in LABELS:
        (folder / "train" / label).mkdir(parents=True)
        for number in range(each):
            Image.fromarray(_blob(generator, 512)).save(folder / "train" / label / f"{number}.jpg")
    return folder


def main() -> None:
    if sys.argv[1:2] == ["systems"]:
        systems.main(sys.argv[2:])
        return
    if not torch.cuda.is_available():
        sys.exit("no GPU here: nothing was measured")
    chosen = sys.argv[1:] or list(PARTS)
    lines = [
        f"Machine: {torch.cuda.get_device_name()}, {os.cpu_count()} CPU cores; torch {torch.__version__}.",
        "",
        "| what | measured | target |",
        "| --- | --- | --- |",
    ]
    with tempfile.TemporaryDirectory(prefix="gliascope-gpu-") as temporary:
        os.environ["GLIASCOPE_CACHE"] = str(Path(temporary) / "cache")
        for name in chosen:
            began = time.perf_counter()
            for what, measured, target in PARTS[name](Path(temporary)):
                lines.append(f"| {what} | {measured} | {target} |")
                print(lines[-1], flush=True)
            print(f"({name}: {time.perf_counter() - began:.0f} s)", flush=True)
            RESULTS.parent.mkdir(exist_ok=True)
            RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
