"""One machine against a Ray cluster of two workers, and what a slice costs as slices become many.

Slices are synthetic, as many as SCALE_SLICES in the environment says; SCALE_COMPARED for the comparison.
Seconds of the processor stand beside those of the clock: other work on the machine slows the latter alone.
"""

import json
import os
import resource
import shutil
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure import Row, python
from tests.tiny import slice_image

SIZES = os.environ.get("SCALE_SLICES", "10000,30000,100000")
COMPARED = int(os.environ.get("SCALE_COMPARED", "10000"))
BASES = 50


def scale(_data: Path, work: Path) -> Iterator[Row]:
    """Rows of both."""
    yield from _compared(work)
    yield from _costs(work)


def _compared(work: Path) -> list[Row]:
    slices = _slices(work / "compared", COMPARED, 224)
    bundle = _bundle(work / "quick", "preprocessing.size=224")
    here, there = (
        _measured(work, "predict", bundle, slices, work / f"{who}.jsonl", who) for who in ("here", "ray")
    )
    same = (work / "here.jsonl").read_bytes() == (work / "ray.jsonl").read_bytes()
    what = f"`predict` of {COMPARED:,} slices of 224 x 224, the network of `quick`"
    faster = 100 * here["seconds"] / there["seconds"] - 100
    return [
        (f"{what}: built-in", f"{COMPARED / here['seconds']:.0f} slices/s", ""),
        (
            f"{what}: Ray, 2 workers",
            f"{COMPARED / there['seconds']:.0f} slices/s ({faster:+.0f} %); its start {there['ready']:.0f} s",
            "≥ -10 %",
        ),
        (f"{what}: findings", "the same bytes" if same else "DIFFER", "the same bytes"),
    ]


def _costs(work: Path) -> Iterator[Row]:
    """`scan`, `store` and `predict`, each in a process of its own."""
    bundle = _bundle(work / "tiny", "preprocessing.size=32")
    for count in map(int, SIZES.split(",")):
        slices, catalog = _slices(work / f"slices-{count}", count, 64), work / f"catalog-{count}.parquet"
        out = work / f"findings-{count}.parquet"
        for verb, *arguments in (
            ("scan", slices, catalog), ("store", catalog), ("predict", bundle, slices, out, "here"),
        ):  # fmt: skip
            found = _measured(work, verb, *arguments)
            each = [f"{1e3 * found[key] / count:.2f} ms" for key in ("seconds", "processor")]
            what = f"`{verb}` of {count:,} slices of 64 x 64, per slice"
            told = f"{each[0]}, {each[1]} of a core; driver {found['peak_gib']:.2f} GiB at most"
            yield what, told, "flat within 15 %" if verb == "predict" else ""
        for made in (slices, work / "cache"):
            shutil.rmtree(made)


def _slices(folder: Path, count: int, size: int) -> Path:
    """Files of two classes, no two alike."""
    bases = [np.asarray(slice_image(number % 2, number, size)) for number in range(BASES)]

    def write(number: int) -> None:
        pixels = bases[number % BASES].copy()
        pixels[0, :4] = np.frombuffer(number.to_bytes(4, "little"), np.uint8)
        below = folder / ("yes", "no")[number % 2] / f"{number // 1000:04d}"
        below.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(below / f"{number:08d}.png", compress_level=1)

    with ThreadPoolExecutor() as pool:
        list(pool.map(write, range(count)))
    return folder


def _bundle(folder: Path, *overrides: str) -> Path:
    """A bundle of an untrained head."""
    from gliascope.export.onnx import export_bundle
    from gliascope.models.classifier import build_classifier
    from gliascope.recipes import load_recipe

    recipe = load_recipe("quick", overrides)
    export_bundle(build_classifier(recipe, 2), recipe, ("no_tumor", "tumor"), {}).write(folder)
    return folder


def _measured(work: Path, *arguments: object) -> dict[str, float]:
    """Seconds and memory of a verb, without the start of Python."""
    told = work / "told.json"
    outcome = python("-m", "benchmarks.scale", told, *arguments, cache=work / "cache")
    return json.loads(told.read_text()) | {"peak_gib": outcome.anonymous_gib}


def _do(told: Path, verb: str, *arguments: str) -> None:
    from gliascope.cli.options import executor_of
    from gliascope.dataset.catalog import Catalog
    from gliascope.dataset.scan import scan
    from gliascope.inference.bundle import Bundle
    from gliascope.inference.predict_files import predict_files
    from gliascope.recipes import load_recipe
    from gliascope.runtime.folder_lock import file_lock
    from gliascope.store.store import store

    began = time.perf_counter()
    with executor_of("auto" if arguments[-1] == "ray" else None) as workers:
        if workers:  # those who will work are there
            list(map(workers.wrap(_nothing), range(4)))
        ready, before = time.perf_counter(), _processor()
        if verb == "scan":
            with file_lock(Path(arguments[1])) as kept:
                scan([Path(arguments[0])], resume_folder=kept).write(Path(arguments[1]))
        elif verb == "store":
            preprocessing = load_recipe("quick", ["preprocessing.size=32"]).preprocessing
            store(Catalog.load(Path(arguments[0])).frame, preprocessing)
        else:
            bundle, slices, out = map(Path, arguments[:3])
            predict_files(Bundle.load(bundle), [slices], out, executor=workers)
        ended, after = time.perf_counter(), _processor()
    found = {"ready": ready - began, "seconds": ended - ready, "processor": after - before}
    told.write_text(json.dumps(found))


def _processor() -> float:
    """Seconds of the processor so far, those of ended processes that read files included."""
    used = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in used)


def _nothing(item: int) -> int:
    return item


if __name__ == "__main__":
    _do(Path(sys.argv[1]), *sys.argv[2:])
