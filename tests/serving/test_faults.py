"""What must not happen when something goes wrong; benchmarks/faults.py does the same for longer."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from faulting import FAULTS, Setting, Told, disk_full
from loading import Body
from served import png

CLIENTS, ROUNDS, PAUSE = 4, 2, 0.3


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_nothing_accepted_is_lost(
    fault: Callable[[Setting], Told], bundle_path: Path, tmp_path: Path
) -> None:
    if fault is disk_full and os.geteuid() != 0:
        pytest.skip("a disk of its own needs root")
    bodies = [Body.of([("a.png", png(number % 4, number))]) for number in range(8)]
    bodies.append(Body.of([(f"{number}.png", png(number % 4, number)) for number in range(8)]))
    told = fault(Setting(bundle_path, tmp_path, bodies, CLIENTS, ROUNDS, PAUSE))
    assert told.lost == 0, told
    assert told.answers["200"] > 0
