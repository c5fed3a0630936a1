"""On a GPU: a function's kernels recorded once and run again without the CPU's part in it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Tensors = tuple[Tensor, ...]


@dataclass(slots=True)
class _Recording:
    graph: torch.cuda.CUDAGraph
    inputs: Tensors
    outputs: Tensors


@dataclass(slots=True)
class CudaGraphRunner:
    """`function(kind, tensors)` as a CUDA graph for each kind and shape of tensors; as it is elsewhere.

    A small batch of a deep network costs its GPU less time than the CPU takes to launch hundreds of kernels.
    The function must do the same for equal kinds and shapes, read nothing else that changes place, and never
    wait for the device. The first call of a kind runs as written, on a stream of its own, so that libraries
    choose their algorithms; the second is recorded; none is run twice.
    """

    function: Callable[[Any, Tensors], Tensors]
    enabled: bool
    _known: dict[Hashable, _Recording | None] = field(default_factory=dict)
    _pool: Any = None

    def __call__(self, kind: Hashable, tensors: Tensors) -> Tensors:
        """What the function returns."""
        if not self.enabled:
            return self.function(kind, tensors)
        key = (kind, *(tensor.shape for tensor in tensors))
        if key not in self._known:
            self._known[key] = None
            return self._aside(kind, tensors)
        recording = self._known[key] = self._known[key] or self._record(kind, tensors)
        for own, given in zip(recording.inputs, tensors, strict=True):
            own.copy_(given)
        recording.graph.replay()
        return tuple(output.clone() for output in recording.outputs)

    def _aside(self, kind: Any, tensors: Tensors) -> Tensors:
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            outputs = self.function(kind, tensors)
        current.wait_stream(stream)
        return tuple(output.clone() for output in outputs)

    def _record(self, kind: Any, tensors: Tensors) -> _Recording:
        # Recordings run one after the other, so they may share what memory they need in between.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        inputs = tuple(tensor.clone() for tensor in tensors)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self.function(kind, inputs)
        return _Recording(graph, inputs, outputs)
