"""One stage of training: its frozen layers, its inputs, its optimiser steps and its validation."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.modules.batchnorm import _BatchNorm

from gliascope.errors import DivergedError
from gliascope.export.tta import average_views
from gliascope.models.classifier import Classifier
from gliascope.models.cut import cut_network
from gliascope.models.freezing import frozen_layers
from gliascope.recipes import Stage
from gliascope.recipes.run import EpochMetrics
from gliascope.runtime.progress import progress
from gliascope.training.batches import Batches
from gliascope.training.cuda_graph import CudaGraphRunner
from gliascope.training.data import Subset, TrainingData
from gliascope.training.environment import autocast
from gliascope.training.history import is_stage_over
from gliascope.training.inputs import (
    DeviceTensors,
    HostArrays,
    Inputs,
    deployed_views,
    load_batch,
    prefetch,
    to_device,
    view_kind,
)
from gliascope.training.losses import Criterion, mixup
from gliascope.training.optimizers import create_optimizer
from gliascope.training.stage_inputs import create_inputs
from gliascope.training.weight_averaging import EMA

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class StageTraining:
    """One stage of a recipe: the network is cut after the frozen layers, and the rest is trained.

    Parameters
    ----------
    fabric
        Lightning Fabric, whose processes share the work.
    classifier
        The network, trained in place.
    data
        The recipe and its slices.
    stage_number
        Which stage of the recipe, from 0.

    Attributes
    ----------
    optimizer : torch.optim.Optimizer
        Of the trainable layers.
    losses : Tensor (steps,)
        Loss of each batch of the last epoch.
    """

    def __init__(
        self, fabric: "Fabric", classifier: Classifier, data: TrainingData, stage_number: int
    ) -> None:
        self.fabric, self.classifier, self.data, self.stage_number = fabric, classifier, data, stage_number
        self.recipe = data.recipe
        self.stage: Stage = self.recipe.stages[stage_number]
        self.batches = Batches(fabric, data, stage_number)
        fixed = frozen_layers(classifier, self.stage.freeze)
        classifier.requires_grad_(True)
        frozen, tail = cut_network(classifier, fixed.cut) if fixed.cut else (None, classifier)
        if frozen is not None:
            fabric.to_device(frozen.eval().requires_grad_(False))
        self.frozen_modules = [classifier.get_submodule(name) for name in fixed.modules]
        for module in self.frozen_modules:
            module.requires_grad_(False)
        if self.stage.batch_norm == "frozen":
            self.frozen_modules += [
                module for module in classifier.backbone.modules() if isinstance(module, _BatchNorm)
            ]
        self.inputs = create_inputs(fabric, data, stage_number, frozen=frozen, cut=fixed.cut)
        counts = torch.bincount(torch.from_numpy(data.train.labels), minlength=classifier.class_count)
        self.criterion = Criterion(self.recipe.loss, fabric.to_device(counts))
        self.averaged = EMA(classifier, self.recipe.ema) if self.recipe.ema else None
        self.deployed: nn.Module = tail
        if self.averaged is not None:
            self.deployed = (
                cut_network(self.validated_network, fixed.cut)[1] if fixed.cut else self.validated_network
            )
        self.learning_rate = torch.zeros((), device=fabric.device)
        self.tail, self.optimizer = fabric.setup(tail, create_optimizer(tail, self.stage, self.learning_rate))
        alone_on_gpu = fabric.device.type == "cuda" and fabric.world_size == 1
        self.step = CudaGraphRunner(self._step, enabled=alone_on_gpu)
        self.losses = torch.zeros(0)

    @property
    def averaged_network(self) -> nn.Module | None:
        """The network of averaged weights; None where the recipe does not average them."""
        return self.averaged.module if self.averaged else None

    @property
    def validated_network(self) -> nn.Module:
        """The network that is validated and exported: that of averaged weights, if there is one."""
        return self.classifier if self.averaged_network is None else self.averaged_network

    def epochs(self, done: list[EpochMetrics]) -> Iterator[EpochMetrics]:
        """Train until the stage is over, and yield each new epoch; `done` are its earlier epochs."""
        rows = list(done)
        while not is_stage_over(self.stage, rows):
            began, epoch = time.perf_counter(), len(rows)
            lr, train_loss, train_accuracy = self._train(epoch, [row.val_loss for row in rows])
            self._share_buffers()
            views = [epoch + 1] if self.recipe.augmented_validation else self._validation_views
            val_loss, val_accuracy = self._score(self.data.val, self.inputs.val, views)
            test_accuracy = None
            if self.recipe.watch_test:
                test_accuracy = self._score(self.data.test, self.inputs.test, self._validation_views)[1]
            self.inputs.release()
            if not np.isfinite([train_loss, val_loss]).all():
                raise self._diverged(epoch, train_loss, val_loss)
            seconds = round(time.perf_counter() - began, 2)
            rows.append(
                EpochMetrics(
                    stage=self.stage_number,
                    epoch=epoch,
                    lr=lr,
                    train_loss=train_loss,
                    train_accuracy=train_accuracy,
                    val_loss=val_loss,
                    val_accuracy=val_accuracy,
                    test_accuracy=test_accuracy,
                    seconds=seconds,
                )
            )
            yield rows[-1]

    def _share_buffers(self) -> None:
        """Give all processes the batch statistics of the first, since each computed them on its own share."""
        if self.fabric.world_size > 1:
            for buffer in self.validated_network.buffers():
                torch.distributed.broadcast(buffer, 0)

    def _diverged(self, epoch: int, train_loss: float, val_loss: float) -> DivergedError:
        """Make the error that names the first batch whose loss is not finite."""
        slices: list[str] = []
        where = ""
        if not np.isfinite(train_loss):
            step = int((~self.losses.isfinite()).nonzero()[0])
            slices = self.batches.paths(epoch, step)
            on = f"{slices[0]} and {len(slices) - 1} more"
            where = f", first in step {step + 1} of {self.batches.steps}, on {on}"
        return DivergedError(
            f"stage {self.stage_number + 1}, epoch {epoch + 1}: the loss is {train_loss} in training, "
            f"{val_loss} in validation{where}; earlier epochs are kept; lower the learning rate, e.g. "
            f"--set stages.{self.stage_number}.lr={self.stage.lr / 10:g}",
            slices,
        )

    @property
    def _validation_views(self) -> list[int]:
        """Numbers of the views that validation averages."""
        return deployed_views(self.recipe, self.recipe.tta.in_validation)

    def _train(self, epoch: int, val_losses: list[float]) -> tuple[float, float, float]:
        """Train one epoch; returns the last learning rate, the mean loss and the accuracy."""
        recipe, train, device = self.recipe, self.data.train, self.fabric.device
        slow = self.stage.plateau.factor_after(val_losses) if self.stage.plateau else 1.0
        steps, losses, correct = self.batches.steps, [], torch.zeros((), device=device)
        self.tail.train()
        for module in self.frozen_modules:
            module.eval()
        with progress(f"epoch {epoch + 1} of {self.stage.epochs}", len(train.rows)) as advance:
            for number, (size, kind, loaded) in enumerate(prefetch(self._batches(epoch))):
                step = epoch * steps + number
                rate = self.stage.schedule.rate(self.stage.lr, step, steps, self.stage.epochs) * slow
                self.learning_rate.fill_(rate)
                # Seeding each step makes dropout independent of earlier steps, so that resuming needs no
                # generator state.
                seed = (recipe.seed << 32) + (self.stage_number << 24) + step
                torch.manual_seed(seed ^ (self.fabric.global_rank << 20))
                hits, loss = self.step((size, kind), to_device(loaded, device))
                if self.averaged is not None:
                    self.averaged.update(self.classifier, step)
                losses.append(loss)
                correct += hits
                advance(size)
        self.losses = self._sum(torch.stack(losses)).cpu() / self.fabric.world_size
        return rate, self.losses.mean().item(), self._sum(correct).item() / len(train.rows)

    def _batches(self, epoch: int) -> Iterator[tuple[int, int, HostArrays]]:
        """Yield of each batch its size, the kind of views and, of this process's share, `_step`'s tensors."""
        train, views = self.data.train, self.batches.views(epoch)
        for number, (size, mine) in enumerate(self.batches.own_shares(epoch), epoch * self.batches.steps):
            loaded = self.inputs.train.load(views[mine], train.rows[mine])
            mixed_with = self.batches.mixup_partners(number, len(mine))
            yield size, view_kind(views[mine]), (train.labels[mine], *mixed_with, *loaded)

    def _step(self, kind: tuple[int, int], loaded: DeviceTensors) -> DeviceTensors:
        """Take one optimiser step; return how many of this process's slices were right, and the loss."""
        recipe, (size, views) = self.recipe, kind
        targets, *rest = loaded
        mixing, pixels = (rest[:2], rest[2:]) if recipe.mixup else ((), rest)
        inputs = self.inputs.train.compute(views, tuple(pixels))
        share, others = None, targets
        if mixing:
            inputs = mixup(inputs, *mixing)
            share, others = mixing[0], targets[mixing[1]]
        self.optimizer.zero_grad()
        hits, total = torch.zeros((2,), device=inputs.device)
        split = [tensor.tensor_split(self.stage.accumulate) for tensor in (inputs, targets, others)]
        for number, (images, own, other) in enumerate(zip(*split, strict=True), 1):
            last = number == len(split[0])
            with self.fabric.no_backward_sync(self.tail, enabled=not last):
                with autocast(self.fabric.device, self.recipe.precision):
                    logits = self.tail(images).float()
                # Processes average their gradients; with this factor, that is the mean over the whole batch.
                loss = self._losses(logits, own, other, share).sum() * (self.fabric.world_size / size)
                if recipe.head.l2 and last:
                    weights = self.classifier.head.l2_weights
                    loss = loss + recipe.head.l2 * sum(weight.square().sum() for weight in weights)
                self.fabric.backward(loss)
            hits += (logits.argmax(1) == own).sum()
            total += loss.detach()
        self.optimizer.step()
        return hits, total

    def _losses(self, logits: Tensor, targets: Tensor, others: Tensor, share: Tensor | None) -> Tensor:
        """Loss of each slice, (n,); with mixup, the losses of both classes, mixed with the slices' share."""
        losses = self.criterion(logits, targets)
        return losses if share is None else losses.lerp(self.criterion(logits, others), 1 - share)

    @torch.inference_mode()
    def _score(self, subset: Subset, inputs: Inputs, views: list[int]) -> tuple[float, float]:
        """Cross-entropy and accuracy of the validated network on a subset, averaged over views."""
        self.deployed.eval()
        sums = torch.zeros(2, device=self.fabric.device)
        for positions in self.batches.scoring_batches(subset):
            rows = subset.rows[positions]
            images = [load_batch(inputs, np.full(len(rows), view), rows) for view in views]
            with autocast(self.fabric.device, self.recipe.precision):
                logits = [self.deployed(batch) for batch in images]
            merged = average_views(torch.stack(logits).float(), self.recipe.tta.average)
            targets = self.fabric.to_device(torch.from_numpy(subset.labels[positions]))
            sums[0] += cross_entropy(merged, targets, reduction="sum")
            sums[1] += (merged.argmax(1) == targets).sum()
        loss, accuracy = (self._sum(sums) / len(subset.rows)).tolist()
        return loss, accuracy

    def _sum(self, mine: Tensor) -> Tensor:
        """Sum a tensor over all processes."""
        return cast(Tensor, self.fabric.all_reduce(mine, reduce_op="sum"))
