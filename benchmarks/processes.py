"""Two processes that train together, against one of one thread."""

import os
from pathlib import Path
from unittest import mock

import polars as pl

from benchmarks.measure import Row, gliascope
from benchmarks.speed import TRAIN, subset

EPOCHS = 3
SETS = ("backbone=residual18", f"stages.0.epochs={EPOCHS}", "preprocessing.size=160")


def processes(data: Path, work: Path) -> list[Row]:
    """`resnet-scratch` by `--devices`: an epoch, validation included, at the same global batch."""
    folder, seconds = subset(data, work), {}
    sets = [argument for one in SETS for argument in ("--set", one)]
    for devices in (1, 2):
        out = work / f"processes-{devices}"
        arguments = ("run", folder, "--protocol", "official", "--recipe", "resnet-scratch", *sets)
        with mock.patch.dict(os.environ, {"GLIASCOPE_CORES": str(devices), "OMP_NUM_THREADS": "1"}):
            gliascope(*arguments, "--devices", devices, "--out", out, cache=work / "cache")
        seconds[devices] = pl.read_csv(out / "run" / "metrics.csv")["seconds"][1:].median()
    rates = [TRAIN / seconds[devices] for devices in (1, 2)]
    return [
        (
            "two processes against one of one thread, `resnet-scratch` at depth 18, 160 x 160, batches of 32",
            f"{rates[1] / (2 * rates[0]):.2f} × twice its rate ({rates[0]:.1f}, {rates[1]:.1f} slices/s)",
            "≥ 0.9",
        )
    ]
