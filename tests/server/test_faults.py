"""Faults of a server under load lose no request; benchmarks/faults.py does the same for longer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faulting import (
    FaultResult,
    Setting,
    all_terminated,
    all_workers_killed,
    broken_off,
    bundle_damaged,
    disk_full,
    killed,
    too_slow,
)
from loading import Body
from served import png

CLIENTS, ROUNDS, PAUSE = 4, 2, 0.5
# Of the two that are like each other, the harder.
CHOSEN = (all_workers_killed, killed)
SLOW = (disk_full, all_terminated, bundle_damaged, broken_off, too_slow)


@pytest.mark.parametrize(
    "fault",
    [*CHOSEN, *(pytest.param(fault, marks=pytest.mark.slow) for fault in SLOW)],
    ids=lambda fault: fault.__name__,
)
def test_nothing_accepted_is_lost(
    fault: Callable[[Setting], FaultResult], bundle_path: Path, tmp_path: Path
) -> None:
    if fault is disk_full and os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    bodies = [Body.of([("a.png", png(number % 4, number))]) for number in range(8)]
    bodies.append(Body.of([(f"{number}.png", png(number % 4, number)) for number in range(8)]))
    long = Body.of([(f"{number}.png", png(number % 4, number)) for number in range(500)])
    told = fault(Setting(bundle_path, tmp_path, bodies, long, CLIENTS, ROUNDS, PAUSE))
    assert told.lost == 0, told
    assert told.answers["200"] > 0
