"""The training loop."""

import csv
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel
from torch.utils.tensorboard import SummaryWriter

from gliascope.data.store import Store
from gliascope.errors import RecipeError, RunError
from gliascope.files import write_text
from gliascope.models.classifier import Classifier
from gliascope.models.cut import cut
from gliascope.progress import note, progress
from gliascope.recipes import Recipe, Stage
from gliascope.training.activations import MIRRORED, Activations, gather, release
from gliascope.training.checkpoints import (
    below,
    load_progress,
    load_weights,
    restore,
    save_progress,
    save_weights,
)
from gliascope.training.schedules import averaging, warmup_cosine


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of metrics.csv. Training figures are over augmented views, with label smoothing in the loss."""

    stage: int
    epoch: int
    lr: float
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Part:
    """Slices of one part of a split: store rows, and class numbers; both int64 (slices,)."""

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


def fit(
    fabric: Fabric, classifier: Classifier, recipe: Recipe, store: Store, train: Part, val: Part, folder: Path
) -> list[Epoch]:
    """Train all stages and return the history; `folder` then holds best and last checkpoints and logs.

    Continues from `folder/last.safetensors`, if any. Raises RunError for a loss that is not finite.
    """
    history: list[Epoch] = []
    saved = load_progress(folder / "last.safetensors") if (folder / "last.safetensors").exists() else None
    if saved:
        history = [Epoch(**row) for row in saved[0]["history"]]
    fabric.to_device(classifier)
    for number, stage in enumerate(recipe.stages):
        done = sum(epoch.stage == number for epoch in history)
        if done == stage.epochs:
            continue
        if saved and done:
            classifier.load_state_dict(below(saved[1], "model."))
        elif number > 0:
            _start_stage(folder, number, classifier)
        training = _StageTraining(fabric, classifier, recipe, number, store, train, val)
        if saved and done:
            restore(saved[1], classifier, training.average, training.optimizer)
        for epoch in training.epochs(done):
            history.append(epoch)
            if best_epoch(history) == len(history) - 1:
                save_weights(folder / "best.safetensors", training.average.module)
            _log(folder, history)
            state = {"history": [asdict(row) for row in history]}
            save_progress(
                folder / "last.safetensors", classifier, training.average, training.optimizer, state
            )
    return history


def best_epoch(history: list[Epoch]) -> int:
    """Row with the highest validation accuracy, then the lowest validation loss; the first of equals."""
    return max(range(len(history)), key=lambda row: (history[row].val_accuracy, -history[row].val_loss))


def _start_stage(folder: Path, number: int, classifier: Classifier) -> None:
    """Load the best weights of the stages before. They are kept: the best may change before a resume."""
    start = folder / f"stage-{number}-start.safetensors"
    if start.exists():
        load_weights(start, classifier)
    else:
        load_weights(folder / "best.safetensors", classifier)
        save_weights(start, classifier)


class _StageTraining:
    """One stage: the frozen part's activations, the rest of the network, and its optimiser."""

    def __init__(
        self,
        fabric: Fabric,
        classifier: Classifier,
        recipe: Recipe,
        number: int,
        store: Store,
        train: Part,
        val: Part,
    ) -> None:
        self.fabric, self.recipe, self.number, self.train, self.val = fabric, recipe, number, train, val
        self.stage: Stage = recipe.stages[number]
        prefix, tail = cut(classifier, self.stage.freeze)
        classifier.requires_grad_(True)
        prefix.requires_grad_(False)
        if not any(parameter.requires_grad for parameter in tail.parameters()):
            raise RecipeError(f"stage {number + 1} freezes {self.stage.freeze!r}: nothing is left to train")
        activations = Activations(store, prefix, self.stage.freeze, recipe, fabric.device)
        self.views = [activations.view(view, train.rows) for view in range(recipe.views)]
        # Validation sees what the deployed model averages.
        seen = (0, MIRRORED) if recipe.tta == "flip" else (0,)
        self.val_views = [activations.view(view, val.rows) for view in seen]
        # Which view a slice shows first follows from its content, so that a batch mixes views.
        self.first_view = np.array([int(name[:8], 16) for name in store.hashes[train.rows]], dtype=np.int64)
        self.average = AveragedModel(classifier, multi_avg_fn=averaging(recipe.ema), use_buffers=True)
        self.averaged_tail = cut(self.average.module, self.stage.freeze)[1]
        self.tail, self.optimizer = fabric.setup(tail, _optimizer(tail, self.stage))
        self.classifier = classifier
        self.steps = max(1, round(len(train.rows) / self.stage.batch_size))

    def epochs(self, start: int) -> Iterator[Epoch]:
        for epoch in range(start, self.stage.epochs):
            began = time.perf_counter()
            lr, train_loss, train_accuracy = self._train(epoch)
            val_loss, val_accuracy = self._validate()
            for view in (*self.views, *self.val_views):
                release(view)
            if not np.isfinite([train_loss, val_loss]).all():
                raise RunError(
                    f"stage {self.number + 1}, epoch {epoch + 1}: the loss is {train_loss} in training, "
                    f"{val_loss} in validation; lower the rate, e.g. "
                    f"--set stages.{self.number}.lr={self.stage.lr / 10:g}"
                )
            seconds = round(time.perf_counter() - began, 2)
            yield Epoch(self.number, epoch, lr, train_loss, train_accuracy, val_loss, val_accuracy, seconds)

    def _train(self, epoch: int) -> tuple[float, float, float]:
        stage, total_loss, correct = self.stage, torch.zeros((), device=self.fabric.device), 0
        order = np.random.default_rng([self.recipe.seed, self.number, epoch]).permutation(
            len(self.train.rows)
        )
        view = (self.first_view + epoch) % self.recipe.views
        self.tail.train()
        with progress(f"epoch {epoch + 1} of {stage.epochs}", len(order)) as advance:
            # Even batches: a last one of a few slices would upset the batch statistics.
            for step, batch in enumerate(np.array_split(order, self.steps), start=epoch * self.steps):
                lr = stage.lr * warmup_cosine(step, stage.epochs * self.steps, stage.warmup)
                for group in self.optimizer.param_groups:
                    group["lr"] = lr
                # Dropout is keyed by the step: resuming needs no state of the generator.
                torch.manual_seed((self.recipe.seed << 32) + (self.number << 24) + step)
                inputs = self.fabric.to_device(gather(self.views, view[batch], self.train.rows[batch]))
                targets = self.fabric.to_device(torch.from_numpy(self.train.labels[batch]))
                logits = self.tail(inputs)
                loss = cross_entropy(logits, targets, label_smoothing=self.recipe.label_smoothing)
                self.optimizer.zero_grad()
                self.fabric.backward(loss)
                self.optimizer.step()
                self.average.update_parameters(self.classifier)
                total_loss += loss.detach() * len(batch)
                correct += int((logits.argmax(1) == targets).sum())
                advance(len(batch))
        return lr, total_loss.item() / len(order), correct / len(order)

    @torch.inference_mode()
    def _validate(self) -> tuple[float, float]:
        self.averaged_tail.eval()
        total_loss, correct, n = 0.0, 0, len(self.val.rows)
        for batch in np.array_split(np.arange(n), max(1, n // 128)):
            rows = self.val.rows[batch]
            views = [gather([view], np.zeros_like(rows), rows) for view in self.val_views]
            logits = torch.stack([self.averaged_tail(self.fabric.to_device(x)) for x in views]).mean(0)
            targets = self.fabric.to_device(torch.from_numpy(self.val.labels[batch]))
            total_loss += cross_entropy(logits, targets, reduction="sum").item()
            correct += int((logits.argmax(1) == targets).sum())
        return total_loss / n, correct / n


def _optimizer(tail: nn.Module, stage: Stage) -> torch.optim.Optimizer:
    """AdamW (Loshchilov & Hutter, 2019); biases and normalisation do not decay."""
    parameters = [p for p in tail.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": stage.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=stage.lr, fused=True)


def _log(folder: Path, history: list[Epoch]) -> None:
    text = StringIO()
    writer = csv.DictWriter(text, list(asdict(history[0])))
    writer.writeheader()
    writer.writerows(asdict(row) for row in history)
    write_text(folder / "metrics.csv", text.getvalue())
    last = history[-1]
    with SummaryWriter(folder / "tensorboard", purge_step=len(history)) as board:
        for key, value in asdict(last).items():
            board.add_scalar(key, value, len(history))
    note(
        f"epoch {last.epoch + 1}: training loss {last.train_loss:.4f}, accuracy {last.train_accuracy:.2%}; "
        f"validation loss {last.val_loss:.4f}, accuracy {last.val_accuracy:.2%} ({last.seconds:.0f} s)"
    )
