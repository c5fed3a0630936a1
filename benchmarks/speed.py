"""How fast, beside the peers and the limits, on the same slices in the same run.

TensorFlow lives in an environment of its own, which the first part that needs it makes; PyTorch's peers use
ours, so that versions are equal. Ratios are of medians.
"""

import os
import shutil
import statistics
import subprocess
import sys
import venv
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from lightning.fabric import Fabric

from benchmarks.growth import VERBS
from benchmarks.measure import Row, gliascope, peer, python, timed
from benchmarks.steps import alone, fed
from gliascope.dataset.scan import scan
from gliascope.export.onnx import export_bundle
from gliascope.inference.bundle import Bundle
from gliascope.inference.predict import Predictor, predict
from gliascope.models.backbones import complete_recipe
from gliascope.models.classifier import build_classifier
from gliascope.recipes import load_recipe
from gliascope.reports.report import Report
from gliascope.store.store import store
from gliascope.training.data import Subset, TrainingData
from gliascope.training.environment import keep_freed_memory, set_determinism
from gliascope.training.stage import StageTraining

KERAS = ("tensorflow-cpu>=2.18", "keras>=3.6", "safetensors>=0.4.5", "pillow>=10.3")
WEIGHTS = "weights/resnet50_keras_imagenet.safetensors"
CLASSES = ("glioma", "meningioma", "no_tumor", "pituitary")
TRAIN, TEST = 320, 160  # slices of the subset: Keras takes some 90 ms for each and epoch
EPOCHS = 10
TUNED = 128  # training slices where a whole ResNet50 is trained, at some 0.3 seconds each


def keras_python(work: Path) -> str:
    """The Python of an environment with TensorFlow. GLIASCOPE_KERAS names one that is there already."""
    if ready := os.environ.get("GLIASCOPE_KERAS"):
        return ready
    folder = work / "keras"
    if not folder.exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *KERAS], check=True)
    return str(folder / "bin" / "python")


def subset(data: Path, work: Path) -> Path:
    """A few slices of masoud7023 in both folders, classes equally often."""
    folder = work / "subset"
    for ours, theirs, count in (("train", "Training", TRAIN), ("test", "Testing", TEST)):
        for source in sorted((data / "masoud7023" / theirs).iterdir()):
            target = folder / ours / source.name
            if source.is_dir() and not target.exists():
                target.mkdir(parents=True)
                for path in sorted(source.iterdir())[: count // len(CLASSES)]:
                    shutil.copy(path, target)
    return folder


def frozen(data: Path, work: Path) -> list[Row]:
    """`resnet50-frozen`, ten epochs, from folders to a tested model, against Keras' `fit`."""
    folder, weights = subset(data, work), data.parent / WEIGHTS
    theirs = peer("keras_frozen", folder, EPOCHS, weights, python=keras_python(work))
    arguments = ("run", folder, "--protocol", "official", "--recipe", "resnet50-frozen")
    sets = ("--set", f"weights={weights}", "--set", "views=1")
    out = work / "frozen"
    ours = gliascope(*arguments, *sets, "--out", out, cache=work / "cache-frozen")
    accuracy = Report.load(out / Report.file).headline.accuracy.value
    name = f"`resnet50-frozen`, {TRAIN} + {TEST} slices, {EPOCHS} epochs, one view"
    return [
        (
            f"{name}: whole job against Keras' `fit`",
            f"{theirs['seconds'] / ours.seconds:.1f} × ({theirs['seconds']:.0f} s, {ours.seconds:.0f} s); "
            f"{theirs['versions']}",
            "≥ 8 ×",
        ),
        (
            f"{name}: test accuracy, Keras and ours",
            f"{theirs['accuracy']:.1%}, {accuracy:.1%}",
            "≥ - 0.5 points",
        ),
    ]


def frozen_whole(data: Path, work: Path) -> Iterator[Row]:
    """The same with all of masoud7023: of Keras, one epoch is timed and counts ten times."""
    folder, source, weights = work / "whole", data / "masoud7023", data.parent / WEIGHTS
    folder.mkdir()
    for ours, theirs in (("train", "Training"), ("test", "Testing")):
        (folder / ours).symlink_to(source / theirs)
    keras = peer("keras_frozen", folder, 1, weights, python=keras_python(work))
    job = keras["seconds"] + (EPOCHS - 1) * keras["fit"]
    arguments = ("run", source, "--protocol", "official", "--recipe", "resnet50-frozen")
    for precision in ("float32", "bf16"):
        sets = ("--set", f"weights={weights}", "--set", "views=1", "--set", f"precision={precision}")
        out, cache = work / f"whole-{precision}", work / f"cache-whole-{precision}"
        ours = gliascope(*arguments, *sets, "--out", out, cache=cache).seconds
        yield (
            f"`resnet50-frozen`, all of masoud7023, {EPOCHS} epochs, one view, {precision}, against Keras",
            f"{job / ours:.1f} × ({job:.0f} s reckoned from one epoch of {keras['fit']:.0f}; {ours:.0f} s)",
            "≥ 8 ×",
        )


def stage2(data: Path, work: Path) -> list[Row]:
    """Training the top 30 % of EfficientNetV2-S, against Keras."""
    folder, rows = subset(data, work), []
    theirs = TRAIN / peer("keras_stage2", folder, python=keras_python(work))["seconds"]
    for name, sets in (
        ("ever fresh views", ()),
        ("ever fresh views, bf16", ("precision=bf16",)),
        ("two views of a slice, kept", ("views=2",)),
        ("two views of a slice, kept, bf16", ("views=2", "precision=bf16")),
    ):
        ours, waited = fed(_training(folder, "efficientnetv2s-three-stage", 1, *sets, slices=TUNED))
        what = f"stage 2 of `efficientnetv2s-three-stage`, {name}"
        rows += [
            (f"{what}, against Keras", f"{ours / theirs:.1f} × ({theirs:.1f}, {ours:.1f} slices/s)", "≥ 4 ×"),
            (f"{what}: share spent waiting for input", f"{waited:.1%}", "< 3 %"),
        ]
    return rows


def fine_tuning(data: Path, work: Path) -> list[Row]:
    """ResNet50 wholly trained, against the loop as written, Lightning's, and no input at all."""
    folder, steps = subset(data, work), TUNED // 4
    loop = peer("torch_loop", folder, steps, 2, 4)["rate"]
    rows: list[Row] = []
    for size, precision in ((4, "float32"), (4, "bf16"), (32, "float32"), (32, "bf16")):
        theirs = {"plain PyTorch's loop": loop} if size == 4 else {}
        if precision == "float32":
            lightning = peer("lightning_loop", folder, TUNED // size, size)["rate"]
        theirs["Lightning and timm"] = lightning
        sets = (f"stages.0.batch_size={size}", f"precision={precision}")
        training = _training(folder, "resnet50-sgd", 0, *sets, slices=TUNED)
        (ours, waited), limit = fed(training), alone(training, TUNED // size)
        name = f"ResNet50 fine-tuning, batch {size}, {precision}"
        rows += [
            (f"{name}, against {what}", f"{ours / rate:.2f} × ({rate:.2f}, {ours:.2f} slices/s)", "≥ 1.5 ×")
            for what, rate in theirs.items()
        ]
        rows += [
            (f"{name}, of the step without input", f"{ours / limit:.1%}", "≥ 97 %"),
            (f"{name}: share spent waiting for input", f"{waited:.1%}", "< 3 %"),
        ]
    return rows


def reading(data: Path, work: Path) -> list[Row]:
    """Files to pixels: `scan` and `store`, against ImageFolder."""
    folder = data / "masoud7023"
    count = sum(path.is_file() for path in folder.rglob("*"))
    preprocessing, rates, theirs = complete_recipe(load_recipe("quick")).preprocessing, [], []
    for number in range(3):
        theirs.append(peer("torch_read", folder, 2)["rate"])
        os.environ["GLIASCOPE_CACHE"] = str(work / f"cache-reading-{number}")
        rates.append(count / timed(lambda: store(scan([folder]).frame, preprocessing), 1).median)
    ours, peers = statistics.median(rates), statistics.median(theirs)
    return [
        (
            f"`scan` + `store` of {count:,} slices against ImageFolder and PIL, 2 workers",
            f"{ours / peers:.1f} × ({peers:.0f}, {ours:.0f} slices/s)",
            "≥ 3 ×",
        )
    ]


def starts(data: Path, work: Path) -> list[Row]:
    """Needs what `verbs` made."""
    image = next((data / "masoud7023" / "Testing" / "glioma").iterdir())
    bundle, times = work / VERBS / "bundle", 7
    show = timed(lambda: gliascope("--help", cache=work / "cache"), times, before=1)
    predict = timed(lambda: gliascope("predict", bundle, image, cache=work / "cache"), times, before=1)
    nothing = timed(lambda: python("-c", "pass", cache=work / "cache"), times, before=1)
    imported = timed(lambda: python("-c", "import gliascope", cache=work / "cache"), times, before=1)
    return [
        (
            "`import gliascope`, beyond Python's own start, s",
            f"{imported.median - nothing.median:.3f}",
            "< 0.15",
        ),
        ("`gliascope --help`, s", show.told(1, 2), "< 0.4"),
        ("`predict` one JPEG from nothing to a finding, s", predict.told(1, 2), "≤ 1.2"),
    ]


def predicting(data: Path, work: Path) -> list[Row]:
    """Files to findings, against eager PyTorch as it comes, and tuned."""
    folder, rows = subset(data, work), []
    files = sorted(path for path in (folder / "test").rglob("*") if path.is_file())
    for name, network in (("Lite0", "tf_efficientnet_lite0"), ("ResNet50", "resnet50")):
        predictor = Predictor.load(one_view(network))
        ours = timed(partial(_predict_all, predictor, files), 3)
        each = sorted(timed(partial(_predict_all, predictor, [path]), 1).median for path in files[:100])
        p50, p99 = each[len(each) // 2], each[int(0.99 * len(each))]
        for tuned, target in (("no", "≥ 2.5 ×"), ("yes", "≥ 1.2 ×")):
            theirs = peer("torch_predict", folder, network, tuned)
            what = "eager PyTorch" + (", channels last, tuned allocator" if tuned == "yes" else "")
            rate = len(files) / ours.median
            rows.append(
                (
                    f"`predict` {name} against {what}",
                    f"{rate / theirs['rate']:.1f} × ({theirs['rate']:.1f}, {rate:.1f} slices/s)",
                    target,
                )
            )
            if tuned == "no":
                rows += [
                    (
                        f"`predict` {name}, one slice, p50 against {what}",
                        f"{p50 / theirs['p50']:.2f} × ({1e3 * theirs['p50']:.0f}, {1e3 * p50:.0f} ms)",
                        "≤ 0.6 ×",
                    ),
                    (f"`predict` {name}, one slice, p99 / p50", f"{p99 / p50:.2f}", "≤ 2"),
                ]
    return rows


def one_view(network: str) -> Bundle:
    """One view, random weights: what a slice costs depends on neither."""
    overrides = [f"backbone={network}", "weights=random", "preprocessing.mean=null", "preprocessing.std=null"]
    recipe = complete_recipe(load_recipe("linear-probe", overrides))
    return export_bundle(build_classifier(recipe, len(CLASSES)), recipe, CLASSES, {})


def _predict_all(predictor: Predictor, files: list[Path]) -> None:
    for _ in predict(predictor, files, lambda error: sys.exit(str(error))):
        pass


def _training(folder: Path, name: str, stage: int, *overrides: str, slices: int = TRAIN) -> StageTraining:
    """A stage of a recipe on training slices of a folder."""
    recipe = complete_recipe(load_recipe(name, ["weights=random", "watch_test=false", *overrides]))
    keep_freed_memory()
    set_determinism(recipe.deterministic)
    frame = scan([folder]).frame
    images = store(frame, recipe.preprocessing)
    rows = images.rows(frame.filter(frame["official"] == "train")["pixel_hash"])[:slices]
    # What validates does not count, but where nothing does there is nothing to cache.
    train, val, test = (Subset(part, np.arange(len(part)) % 4, ()) for part in (rows, rows[:2], rows[:0]))
    material = TrainingData(recipe, images, len(CLASSES), train, val, test)
    classifier = build_classifier(recipe, len(CLASSES))
    return StageTraining(Fabric(accelerator="cpu", devices=1), classifier, material, stage)
