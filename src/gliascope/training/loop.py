"""The training loop: stages, their epochs, and what is kept of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope.errors import DivergedError
from gliascope.models.classifier import Classifier
from gliascope.runtime.files import write_text
from gliascope.training.checkpoints import (
    load_progress,
    load_weights,
    restore,
    save_progress,
    save_weights,
    with_prefix,
)
from gliascope.training.data import TrainingData
from gliascope.training.history import Epoch, chosen_epoch, is_stage_over, log_epoch
from gliascope.training.stage import StageTraining

if TYPE_CHECKING:
    from lightning.fabric import Fabric

DIVERGED_FILE = "diverged.txt"


def load_history(folder: Path) -> list[Epoch]:
    """The epochs that the last checkpoint knows of."""
    saved = load_progress(folder)
    return _epochs(saved[0]) if saved else []


def fit(
    fabric: "Fabric",
    classifier: Classifier,
    data: TrainingData,
    folder: Path,
    on_epoch: Callable[[Sequence[Epoch]], None] = lambda _: None,
) -> None:
    """Train all stages; `folder` then holds chosen and last checkpoints and logs.

    Continues from the last checkpoint in `folder`, if any. `watch` sees the epochs so far whenever one holds
    them. Raises DivergedError for a loss that is not finite, whose slices `folder/diverged.txt` then names.
    """
    history: list[Epoch] = []
    saved = load_progress(folder)
    if saved:
        history = _epochs(saved[0])
        on_epoch(history)
    for number, stage in enumerate(data.recipe.stages):
        done = [epoch for epoch in history if epoch.stage == number]
        if is_stage_over(stage, done):
            continue
        if saved and done:
            classifier.load_state_dict(with_prefix(saved[1], "model."))
        elif number > 0:
            _start_stage(fabric, folder, number, classifier)
        fabric.to_device(classifier)
        training = StageTraining(fabric, classifier, data, number)
        if saved and done:
            restore(saved[1], classifier, training.averaged_network, training.optimizer)
        for epoch in _epochs_or_diverged(training, done, folder):
            history.append(epoch)
            _keep(training, history, folder)
            on_epoch(history)


def _keep(training: StageTraining, history: list[Epoch], folder: Path) -> None:
    """Write what the last epoch has come to: one process does, the others wait for it."""
    if training.fabric.is_global_zero:
        if chosen_epoch(history, training.recipe.keep) == len(history) - 1:
            save_weights(folder / "chosen.safetensors", training.validated_network)
        log_epoch(folder, history, training.losses)
        state = {"history": [asdict(row) for row in history]}
        save_progress(folder, training.classifier, training.averaged_network, training.optimizer, state)
    training.fabric.barrier()


def _epochs_or_diverged(training: StageTraining, done: list[Epoch], folder: Path) -> Iterator[Epoch]:
    try:
        yield from training.epochs(done)
    except DivergedError as error:
        write_text(folder / DIVERGED_FILE, "".join(f"{name}\n" for name in error.slices))
        raise


def _epochs(progress: dict[str, Any]) -> list[Epoch]:
    return [Epoch(**row) for row in progress["history"]]


def _start_stage(fabric: "Fabric", folder: Path, number: int, classifier: Classifier) -> None:
    """Load the chosen weights of the stages before. They are kept: the choice may change before a resume."""
    start = folder / f"stage-{number}-start.safetensors"
    if not start.exists():
        load_weights(folder / "chosen.safetensors", classifier)
        fabric.barrier()
        if fabric.is_global_zero:
            save_weights(start, classifier)
        fabric.barrier()
    load_weights(start, classifier)
