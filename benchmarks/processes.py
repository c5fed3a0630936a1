"""Two processes that train together, against one of one thread, and two that know nothing of each other."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import polars as pl

from benchmarks.measure import Row, gliascope
from benchmarks.speed import TRAIN, subset

EPOCHS = 3
SETS = ("backbone=residual18", f"stages.0.epochs={EPOCHS}", "preprocessing.size=160")
TOGETHER = {"GLIASCOPE_CORES": "2", "OMP_NUM_THREADS": "1"}
ALONE = {"GLIASCOPE_CORES": "1", "OMP_NUM_THREADS": "1"}


def processes(data: Path, work: Path) -> Iterator[Row]:
    """`resnet-scratch` by `--devices`: an epoch, validation included, at the same global batch."""
    folder = subset(data, work)

    def rate(name: str, devices: int, batch: int) -> float:
        """Slices a second in the median epoch after the first."""
        out = work / f"processes-{name}-{batch}"
        sets = [word for one in (*SETS, f"stages.0.batch_size={batch}") for word in ("--set", one)]
        arguments = ("run", folder, "--protocol", "official", "--recipe", "resnet-scratch", *sets)
        gliascope(*arguments, "--devices", devices, "--out", out, cache=work / "cache")
        return TRAIN / float(pl.read_csv(out / "run" / "metrics.csv")["seconds"][1:].median())

    for batch in (32, 64):
        with mock.patch.dict(os.environ, TOGETHER):
            together = rate("together", 2, batch)
        with mock.patch.dict(os.environ, ALONE):
            alone = rate("alone", 1, batch)
            with ThreadPoolExecutor() as pool:
                apart = sum(pool.map(rate, ("apart-1", "apart-2"), (1, 1), (batch, batch)))
        name = f"`resnet-scratch` at depth 18, 160 x 160, batches of {batch}"
        yield (
            f"two processes against one of one thread, {name}",
            f"{together / (2 * alone):.2f} × twice its rate ({alone:.1f}, {together:.1f} slices/s)",
            "≥ 0.9",
        )
        yield (
            f"two jobs at once that know nothing of each other, {name}",
            f"{apart / (2 * alone):.2f} × twice the rate of one ({apart:.1f} slices/s)",
            "the machine's limit",
        )
