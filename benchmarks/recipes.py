"""Every recipe on real slices, for a few steps of each stage: interrupted, resumed, exported, asked."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import Row
from gliascope.reports.report import Report

PER_FOLDER = 50  # of masoud7023's eight: 400 slices, of which 180 train
EPOCHS = 2  # a stage, so that one can be interrupted after the first
KERAS = Path("weights/resnet50_keras_imagenet.safetensors")  # beside the slices, for both kinds of ResNet50


def recipes(data: Path, work: Path) -> Iterator[Row]:
    from gliascope.recipes import recipe_names

    return (_row(name, data, work / f"recipe-{name}") for name in recipe_names())


def _row(name: str, data: Path, out: Path) -> Row:
    weights = stand_in(name, data)
    command = [sys.executable, "-m", "gliascope"]
    arguments = ["run", data / "masoud7023", "--recipe", name, "--out", out, "--limit", PER_FOLDER]
    arguments += [part for override in (*_few(name), *weights) for part in ("--set", override)]
    environment = os.environ | {"GLIASCOPE_CACHE": str(out.parent / "cache-recipes")}
    run = [*command, *map(str, arguments)]
    began = time.perf_counter()
    _interrupt(run, environment, out / "run" / "last.safetensors")
    kept = _rows(out / "run" / "metrics.csv")
    subprocess.run(run, env=environment, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - began
    rows = _rows(out / "run" / "metrics.csv")
    if rows[: len(kept)] != kept:
        sys.exit(f"{name}: the epochs before the interruption were made again")
    image = next((data / "masoud7023" / "Testing" / "glioma").iterdir())
    asked = [*command, "predict", str(out / "bundle"), str(image), "--out", str(out / "asked.jsonl")]
    subprocess.run(asked, env=environment, check=True, stdout=subprocess.DEVNULL)
    finding = json.loads((out / "asked.jsonl").read_text().splitlines()[0])
    accuracy = Report.load(out / Report.file).headline.accuracy.value
    losses = " ".join(f"{float(row['train_loss']):.3f}" for row in rows)
    said = f"{finding['label']} {finding['probabilities'][finding['label']]:.2f}"
    return (
        f"`{name}`{' (' + ', '.join(weights) + ')' if weights else ''}",
        f"stopped after epoch {len(kept)} of {len(rows)}, resumed; training loss {losses}; "
        f"official {accuracy:.1%}; a glioma is {said}; {seconds:.0f} s",
        "",
    )


def _few(name: str) -> list[str]:
    from gliascope.recipes import load_recipe

    recipe = load_recipe(name)
    views = [] if recipe.views is None else [f"views={min(recipe.views, EPOCHS)}"]
    return [f"stages.{number}.epochs={EPOCHS}" for number in range(len(recipe.stages))] + views


def stand_in(name: str, data: Path) -> list[str]:
    """What stands in for weights that only a hub has."""
    from gliascope.models.weights import WEIGHT_PACKAGES
    from gliascope.recipes import load_recipe

    recipe = load_recipe(name)
    if recipe.backbone in WEIGHT_PACKAGES or recipe.weights:
        return []
    if recipe.backbone.startswith("resnet50") and (data.parent / KERAS).exists():
        keras = [] if recipe.backbone == "resnet50_keras" else ["backbone=resnet50_keras"]
        return [*keras, f"weights={data.parent / KERAS}"]
    # Frozen and of random weights, it would tell slices by rounding.
    if recipe.backbone.startswith("tf_efficientnetv2"):
        return ["backbone=tf_efficientnet_lite0", "stages.1.freeze=0.7"]
    return ["weights=random"]


def _interrupt(command: list[str], environment: dict[str, str], checkpoint: Path) -> None:
    """Stop the command by Ctrl-C once it has an epoch."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    while not checkpoint.exists():
        if process.poll() is not None:
            sys.exit(f"{' '.join(command)} ended before its first epoch")
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    process.wait()


def _rows(metrics: Path) -> list[dict[str, Any]]:
    with metrics.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))
