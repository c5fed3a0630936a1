"""What tests of several processes share."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tiny import TINY

from gliascope.recipes.run import Run

# Where batch statistics and dropout don't enter, how a batch is shared
# must not matter. SGD, since Adam's first steps have the same length however small the gradient: they make
# rounding errors large.
SAME = (
    *TINY, "stages.0.batch_norm=frozen", "stages.0.optimizer=sgd", "stages.0.lr=0.01", "head.dropout=[0]",
    "loss.class_weights=true", "head.l2=0.001",
)  # fmt: skip


def assert_equal_to_rounding(one: Path, other: Path) -> None:
    a, b = (load_file(folder / "last.safetensors") for folder in (one, other))
    moved = 0
    for key in a:
        assert torch.allclose(a[key].float(), b[key].float(), rtol=1e-4, atol=1e-5), key
        moved += not torch.equal(a[key], b[key])
    assert moved  # they were not computed in the same way
    rows = [Run.load(folder).history() for folder in (one, other)]
    for mine, theirs in zip(*rows, strict=True):
        assert mine.train_loss == pytest.approx(theirs.train_loss, rel=1e-4)
        assert mine.val_loss == pytest.approx(theirs.val_loss, rel=1e-3)
        assert mine.val_accuracy == pytest.approx(theirs.val_accuracy)
