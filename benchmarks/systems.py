"""`python -m benchmarks.gpu systems`: the published systems at their full size and length, in pieces.

A GPU is lent for minutes at a time. So one call trains recipes, the most wanted first, until its seconds are
over, and leaves everything that the next call needs in a few files of 15 MiB: reports of the recipes that are
done, and the checkpoint of the one that is not. Checkpoints travel in bfloat16, which halves them; a run that
goes on from one is therefore not the same to the last bit as one that was never stopped.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from benchmarks.measure import LEDGER, RESULTS, Row
from benchmarks.recipes import stand_in
from gliascope.commands.reproduce import JOB
from gliascope.errors import GliascopeError
from gliascope.models.weight_files import write_tensors
from gliascope.models.weights import RANDOM, pretrained_backbone
from gliascope.recipes import load_recipe
from gliascope.reports.report import Report
from gliascope.runtime.files import atomic_folder
from gliascope.training import checkpoints

ORDER = (
    "resnet-scratch",
    "resnet50-sgd",
    "resnet50-gap",
    "vgg16-sgd",
    "vgg16-gap",
    "inceptionv3-sgd",
    "efficientnetv2s-three-stage",
    "best",
)
SECONDS = 480
LEAST = 45  # seconds; a recipe is not begun with less
STOP = 30  # seconds that a stopped training gets to end in, before it is killed
PART = 15 << 20
DONE = ("report.json", JOB, "labels.yaml", "run/recipe.yaml", "run/run.json", "run/metrics.csv")
UNDONE = ("labels.yaml", "run/recipe.yaml", "run/run.json", "run/metrics.csv")


def main(arguments: list[str]) -> None:
    """Train until the seconds are over, from the state that the call before left, and print the table."""
    options = _parse(arguments)
    if not (torch.cuda.is_available() or options.quickly):
        sys.exit("no GPU here: nothing was trained; --quickly N tries the same on N slices of each class")
    deadline = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory(prefix="gliascope-systems-") as temporary:
        work = Path(temporary)
        unpack(options.state, work)
        for name in options.recipes.split(","):
            if is_done(work / name):
                continue
            if deadline - time.monotonic() < LEAST:
                break
            print(f"{name}: {train(name, options, work, deadline)}", flush=True)
            pack(work, options.state)
        for what, measured, _ in rows(work, options.recipes.split(",")):
            print(f"| {what} | {measured} |", flush=True)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu systems", description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("GLIASCOPE_DATA"))
    parser.add_argument("--state", type=Path, default=RESULTS / "systems", help="where a call goes on from")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="that this call may train")
    parser.add_argument("--recipes", default=",".join(ORDER), help="with commas between, most wanted first")
    parser.add_argument(
        "--quickly", type=int, help="a trial on so many slices of each class, an epoch a stage"
    )
    options = parser.parse_args(arguments)
    if options.data is None or not options.data.is_dir():
        parser.error(
            "set GLIASCOPE_DATA, or --data, to the folder that holds masoud7023/, sartaj3264/ and ct/"
        )
    return options


def train(name: str, options: argparse.Namespace, work: Path, deadline: float) -> str:
    """Train one recipe until it is done or the deadline has come; return what came of it, in words."""
    overrides = weights(name, options.data)
    command = [sys.executable, "-m", "gliascope", "reproduce", "--recipes", name]
    command += ["--data", str(options.data), "--out", str(work)]
    command += ["--quickly", str(options.quickly)] if options.quickly else []
    command += [word for override in overrides for word in ("--set", override)]
    environment = os.environ | {"GLIASCOPE_CACHE": str(work / "cache")}
    if not options.quickly:
        environment["GLIASCOPE_LEDGER"] = str(LEDGER)
    process = subprocess.Popen(command, env=environment)
    try:
        process.wait(timeout=max(deadline - time.monotonic(), 0))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    told = f" ({', '.join(overrides)})" if overrides else ""
    if is_done(work / name):
        return f"done{told}"
    epochs = _epochs(work / name)
    return f"stopped after {epochs} epochs{told}" if epochs else f"not one epoch was trained{told}"


def weights(name: str, data: Path) -> list[str]:
    """Overrides for a recipe whose weights cannot be had here: from elsewhere, else random."""
    recipe = load_recipe(name)
    try:
        pretrained_backbone(recipe.backbone, recipe.weights)
    except GliascopeError:
        others = stand_in(name, data)
        return others if any("weights=" in other for other in others) else [f"weights={RANDOM}"]
    return []


def is_done(folder: Path) -> bool:
    """Whether a recipe was trained to its end and evaluated."""
    return (folder / JOB).exists()


def rows(work: Path, names: list[str]) -> list[Row]:
    """What has come of each recipe so far."""
    found = []
    for name in names:
        folder = work / name
        if is_done(folder):
            protocols = Report.load(folder / Report.file).protocols
            said = "; ".join(
                f"{protocol} {100 * result.accuracy.value:.2f} % "
                f"({100 * result.accuracy.low:.2f}-{100 * result.accuracy.high:.2f})"
                for protocol, result in protocols.items()
            )
        else:
            said = f"{_epochs(folder)} epochs so far"
        found.append((f"`{name}`", said, ""))
    return found


def _epochs(folder: Path) -> int:
    saved = checkpoints.load_progress(folder / "run") if (folder / "run").is_dir() else None
    return len(saved[0]["history"]) if saved else 0


def pack(work: Path, state: Path) -> None:
    """Write what the next call needs as files of PART bytes, state/systems.000 and on, all or nothing."""
    with tempfile.TemporaryDirectory(prefix="gliascope-pack-") as temporary:
        archive = Path(temporary) / "archive"
        with zipfile.ZipFile(archive, "w") as content:
            for folder in sorted(path for path in work.iterdir() if (path / "run").is_dir()):
                for name in DONE if is_done(folder) else UNDONE:
                    if (folder / name).exists():
                        content.write(folder / name, f"{folder.name}/{name}")
                if not is_done(folder):
                    for file in sorted((folder / "run").glob("*.safetensors")):
                        if file.name != checkpoints.PREVIOUS:
                            content.write(_halved(file, Path(temporary)), f"{folder.name}/run/{file.name}")
        whole = archive.read_bytes()
    with atomic_folder(state) as folder:
        for number, start in enumerate(range(0, len(whole), PART)):
            (folder / f"systems.{number:03d}").write_bytes(whole[start : start + PART])


def _halved(file: Path, folder: Path) -> Path:
    """A copy of a checkpoint whose floats are bfloat16."""
    with safe_open(file, framework="pt") as stream:
        metadata = stream.metadata()
    tensors = {
        key: tensor.to(torch.bfloat16) if tensor.dtype == torch.float32 else tensor
        for key, tensor in load_file(file).items()
    }
    copy = folder / file.name
    save_file(tensors, copy, metadata=metadata)
    return copy


def unpack(state: Path, work: Path) -> None:
    """Put back what `pack` wrote, if anything; checkpoints in float32, under digests of their own."""
    parts = sorted(state.glob("systems.[0-9][0-9][0-9]")) if state.is_dir() else []
    if not parts:
        return
    archive = work / "archive"
    archive.write_bytes(b"".join(part.read_bytes() for part in parts))
    with zipfile.ZipFile(archive) as content:
        content.extractall(work)  # written by us, and its names are checked by zipfile
    archive.unlink()
    for file in work.glob("*/run/*.safetensors"):
        with safe_open(file, framework="pt") as stream:
            metadata = stream.metadata() or {}
        tensors = {
            key: tensor.to(torch.float32) if tensor.dtype == torch.bfloat16 else tensor
            for key, tensor in load_file(file).items()
        }
        progress = {key: value for key, value in metadata.items() if key == "progress"}
        write_tensors(file, tensors, progress, displayed_path=file)
