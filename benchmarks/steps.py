"""Rates of a stage's training steps: fed from the Store, and with no input at all."""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

import torch
from torch import Tensor

from gliascope.training.cuda_graph import CudaGraphRunner
from gliascope.training.inputs import prefetch
from gliascope.training.stage import StageTraining


def seconds(function: Callable[[], object], times: int, before: int = 3) -> float:
    """Of one call, the mean over some, after a few that do not count."""
    for _ in range(before):
        function()
    wait()
    began = time.perf_counter()
    for _ in range(times):
        function()
    wait()
    return (time.perf_counter() - began) / times


def wait() -> None:
    """Until a GPU, if any, has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def fed(training: StageTraining) -> tuple[float, float]:
    """Slices a second in an epoch from the Store, the second one; share of it spent waiting for the next."""
    training._train(0, [])
    wait()
    waited = [0.0]

    def watched(batches: Iterable[Any]) -> Iterator[Any]:
        batches = prefetch(batches)
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            waited[0] += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    with mock.patch("gliascope.training.stage.prefetch", watched):
        began = time.perf_counter()
        training._train(1, [])
        wait()
        whole = time.perf_counter() - began
    return len(training.data.train.rows) / whole, waited[0] / whole


def alone(training: StageTraining, steps: int) -> float:
    """Slices a second of the same step where the network's input is there already."""
    inputs, size, device = training.inputs, training.stage.batch_size, training.fabric.device
    shape = (size, 3, *2 * [training.recipe.preprocessing.input_size])
    images = torch.randn(shape, device=device).contiguous(memory_format=torch.channels_last)
    training.inputs = replace(inputs, train=_Constant(images))  # type: ignore[arg-type]
    training.tail.train()
    replay = CudaGraphRunner(training._step, training.step.enabled)
    labels = torch.arange(size, device=device) % training.classifier.class_count
    each = seconds(lambda: replay((size, 1), (labels,)), steps)
    training.inputs = inputs
    return size / each


class _Constant:
    """Network input that is there already."""

    def __init__(self, images: Tensor) -> None:
        self.images = images

    def compute(self, kind: int, loaded: tuple[Tensor, ...]) -> Tensor:
        return self.images
