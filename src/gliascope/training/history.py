"""The record of each epoch, and the decisions that follow from the records."""

import csv
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Literal

from torch import Tensor

from gliascope.recipes import Stage
from gliascope.recipes.run import EpochMetrics
from gliascope.runtime.files import write_text
from gliascope.runtime.progress import note


def chosen_epoch(history: Sequence[EpochMetrics], keep: Literal["best", "last"]) -> int:
    """Choose the epoch whose weights become the model: its position in `history`.

    Parameters
    ----------
    history
        All epochs of a training.
    keep
        "last" for the last epoch. "best" for the one with the highest validation accuracy; among equals, the
        one with the lowest validation loss; then the first.
    """
    if keep == "last":
        return len(history) - 1
    return max(range(len(history)), key=lambda row: (history[row].val_accuracy, -history[row].val_loss))


def is_stage_over(stage: Stage, rows: Sequence[EpochMetrics]) -> bool:
    """Whether a stage has had all its epochs, or its `patience` ran out without a better validation accuracy.

    Parameters
    ----------
    stage
        The recipe's.
    rows
        The epochs of this stage so far.
    """
    if len(rows) == stage.epochs:
        return True
    if stage.patience is None or not rows:
        return False
    accuracies = [row.val_accuracy for row in rows]
    return len(rows) - 1 - accuracies.index(max(accuracies)) >= stage.patience


def log_epoch(folder: Path, history: Sequence[EpochMetrics], losses: Tensor) -> None:
    """Record the last epoch: rewrite metrics.csv, add to TensorBoard's files, and print one line.

    Parameters
    ----------
    folder
        The run's folder.
    history
        All epochs so far.
    losses
        (steps,): the loss of each batch of the last epoch.
    """
    from torch.utils.tensorboard import SummaryWriter

    rows = [row.model_dump(exclude_none=True) for row in history]
    last = history[-1]
    text = StringIO()
    writer = csv.DictWriter(text, list(rows[-1]))
    writer.writeheader()
    writer.writerows(rows)
    write_text(folder / "metrics.csv", text.getvalue())
    with SummaryWriter(folder / "tensorboard", purge_step=len(history)) as board:
        for key, value in rows[-1].items():
            board.add_scalar(key, value, len(history))
        for step, loss in enumerate(losses.tolist(), start=last.epoch * len(losses)):
            board.add_scalar(f"stage {last.stage + 1}/loss of each batch", loss, step)
    note(
        f"epoch {last.epoch + 1}: training loss {last.train_loss:.4f}, accuracy {last.train_accuracy:.2%}; "
        f"validation loss {last.val_loss:.4f}, accuracy {last.val_accuracy:.2%} ({last.seconds:.0f} s)"
    )
