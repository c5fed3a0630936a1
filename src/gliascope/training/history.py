"""What is kept of every epoch, and what follows from it."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Literal

from torch import Tensor

from gliascope.recipes import Stage
from gliascope.runtime.files import write_text
from gliascope.runtime.progress import note


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of metrics.csv. Training figures are over augmented views, with what the loss adds.

    test_accuracy is None but for recipes that watch the test part to show what that leak gives.
    """

    stage: int
    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    test_accuracy: float | None
    seconds: float


def chosen_epoch(history: Sequence[Epoch], keep: Literal["best", "last"]) -> int:
    """Row of the last epoch, or of that with the highest validation accuracy, then the lowest validation
    loss; the first of equals.
    """
    if keep == "last":
        return len(history) - 1
    return max(range(len(history)), key=lambda row: (history[row].val_accuracy, -history[row].val_loss))


def is_stage_over(stage: Stage, rows: Sequence[Epoch]) -> bool:
    """Whether a stage with these epochs is at its end, or has waited too long for a better one."""
    if len(rows) == stage.epochs:
        return True
    if stage.patience is None or not rows:
        return False
    accuracies = [row.val_accuracy for row in rows]
    return len(rows) - 1 - accuracies.index(max(accuracies)) >= stage.patience


def log_epoch(folder: Path, history: Sequence[Epoch], losses: Tensor) -> None:
    """Write metrics.csv, TensorBoard's scalars with the last epoch's loss by batch, and a line to read."""
    from torch.utils.tensorboard import SummaryWriter

    rows = [{key: value for key, value in asdict(row).items() if value is not None} for row in history]
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
