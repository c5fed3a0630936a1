"""What this machine can do at most, and how near to it what Gliascope does comes."""

import io
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from benchmarks.measure import Row, timed
from benchmarks.speed import one_view
from gliascope.dataset.scan import scan
from gliascope.inference.engine import open_session
from gliascope.models.backbones import complete_recipe
from gliascope.recipes import load_recipe
from gliascope.runtime.executors import cores
from gliascope.store.store import store

SIDE = 4096  # of the square matrices
BYTES = 1 << 30
BATCH = 32
RESNET50 = 2 * 4.09e9  # operations of a slice of 224 x 224: multiply-adds as torchvision counts them, twice


def limits(data: Path, work: Path) -> list[Row]:
    """Arithmetic beside ResNet50's frozen pass, memory beside the Store, decoding beside scan and store."""
    return [*_arithmetic(), *_files(data, work)]


def _arithmetic() -> list[Row]:
    left, right = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE)
    # MKL and OpenBLAS: which is faster depends on the processor.
    ways = (partial(np.matmul, left.numpy(), right.numpy()), partial(torch.matmul, left, right))
    product = 2 * SIDE**3 / min(timed(way, 5, before=1).median for way in ways)
    session = open_session(one_view("resnet50").model)
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224), dtype=np.uint8)
    run = partial(session.run, ["logits"], {"pixels": pixels})
    network = BATCH * RESNET50 / timed(run, 5, before=1).median
    return [
        ("matrix product, float32", f"{product / 1e9:.0f} GFLOP/s", ""),
        (
            "… ResNet50's frozen pass, batches of 32",
            f"{network / 1e9:.0f} GFLOP/s: {network / product:.0%} of it",
            "",
        ),
    ]


def _files(data: Path, work: Path) -> list[Row]:
    folder = data / "masoud7023" / "Testing"
    contents = [path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()]
    with ThreadPoolExecutor(cores()) as pool:
        decoding = len(contents) / timed(lambda: list(pool.map(_decode, contents)), 3, before=1).median
    source, target = np.ones(BYTES, np.uint8), np.empty(BYTES, np.uint8)
    copying = BYTES / timed(lambda: np.copyto(target, source), 5, before=1).median
    os.environ["GLIASCOPE_CACHE"] = str(work / "cache-limits")
    catalog = scan([folder])
    scanning = len(contents) / timed(lambda: scan([folder]), 3).median
    preprocessing = complete_recipe(load_recipe("quick")).preprocessing
    storing = timed(lambda: store(catalog.frame, preprocessing), 1)
    images = store(catalog.frame, preprocessing)
    rows = np.random.default_rng(0).permutation(len(images.hashes))
    parts = np.array_split(rows, max(1, len(rows) // 64))
    reading = (
        images.pixels.nbytes / timed(lambda: [images.pixels[some] for some in parts], 9, before=1).median
    )
    return [
        ("libjpeg-turbo decodes, from memory, all cores", f"{decoding:,.0f} slices/s", ""),
        ("… `scan`; `store`", f"{scanning:,.0f}; {len(images.hashes) / storing.median:,.0f} slices/s", ""),
        ("copy within memory", f"{copying / 1e9:.1f} GB/s", ""),
        (
            "… the Store's slices, shuffled, in batches of 64",
            f"{reading / 1e9:.1f} GB/s, {reading / images.pixels[0].nbytes:,.0f} slices/s",
            "> 50,000 slices/s",
        ),
    ]


def _decode(content: bytes) -> None:
    with Image.open(io.BytesIO(content)) as image:
        image.load()
