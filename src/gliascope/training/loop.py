"""The training loop: the stages of a recipe, their epochs, and the files written after each epoch."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gliascope.errors import DivergedError
from gliascope.models.classifier import Classifier
from gliascope.models.weight_files import CHOSEN, load_weights, save_weights
from gliascope.recipes.run import EpochMetrics
from gliascope.runtime.files import write_text
from gliascope.training.checkpoints import load_progress, restore, save_progress, with_prefix
from gliascope.training.data import TrainingData
from gliascope.training.history import chosen_epoch, is_stage_over, log_epoch
from gliascope.training.stage import StageTraining

if TYPE_CHECKING:
    from lightning.fabric import Fabric

DIVERGED_FILE = "diverged.txt"


def load_history(folder: Path) -> list[EpochMetrics]:
    """Read the epochs that a run's last checkpoint records; an empty list without a checkpoint."""
    saved = load_progress(folder)
    return _epochs(saved[0]) if saved else []


def fit(
    fabric: "Fabric",
    classifier: Classifier,
    data: TrainingData,
    *,
    folder: Path,
    on_epoch: Callable[[Sequence[EpochMetrics]], None] = lambda _: None,
) -> None:
    """Train all stages of a recipe, from the last checkpoint in `folder` where there is one.

    Parameters
    ----------
    fabric
        Lightning Fabric; each of its processes calls this function.
    classifier
        The network as it is before the first stage. It is trained in place.
    data
        The recipe, and the slices to train and validate on.
    folder
        The run's folder. It gets the weights of the chosen epoch, the last checkpoint, metrics.csv and
        TensorBoard's files.
    on_epoch
        Called with all epochs so far, after each epoch and once for the checkpoint that training continues
        from. An exception of `on_epoch` ends the training; the next call continues it.

    Raises
    ------
    DivergedError
        For a loss that is not finite. `folder/diverged.txt` then lists the slices of the first such batch.
    """
    history: list[EpochMetrics] = []
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
            _save(training, history, folder)
            on_epoch(history)


def _save(training: StageTraining, history: list[EpochMetrics], folder: Path) -> None:
    """Write weights, logs and checkpoint after an epoch: the first process writes, the others wait for it."""
    if training.fabric.is_global_zero:
        if chosen_epoch(history, training.recipe.keep) == len(history) - 1:
            save_weights(folder / CHOSEN, training.validated_network)
        log_epoch(folder, history, training.losses)
        state = {"history": [row.model_dump() for row in history]}
        save_progress(
            folder,
            training.classifier,
            training.averaged_network,
            optimizer=training.optimizer,
            progress=state,
        )
    training.fabric.barrier()


def _epochs_or_diverged(
    training: StageTraining, done: list[EpochMetrics], folder: Path
) -> Iterator[EpochMetrics]:
    try:
        yield from training.epochs(done)
    except DivergedError as error:
        write_text(folder / DIVERGED_FILE, "".join(f"{name}\n" for name in error.slices))
        raise


def _epochs(progress: dict[str, Any]) -> list[EpochMetrics]:
    return [EpochMetrics(**row) for row in progress["history"]]


def _start_stage(fabric: "Fabric", folder: Path, number: int, classifier: Classifier) -> None:
    """Load the weights that the earlier stages chose, from a copy that is made at the first call.

    A later epoch may overwrite the chosen weights, and a training that resumes has to start this stage from
    the same ones.
    """
    start = folder / f"stage-{number}-start.safetensors"
    if not start.exists():
        load_weights(folder / CHOSEN, classifier)
        fabric.barrier()
        if fabric.is_global_zero:
            save_weights(start, classifier)
        fabric.barrier()
    load_weights(start, classifier)
