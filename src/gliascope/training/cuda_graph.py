"""CUDA graphs: the kernels that a function launches are recorded once, then replayed without the CPU."""

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
    """Run `function(kind, tensors)` as a CUDA graph, one for each kind and shapes of tensors.

    On a small batch of a deep network, the GPU computes faster than the CPU launches its hundreds of kernels;
    a graph is launched at once.

    The function must launch the same kernels for equal kinds and shapes, must not read other tensors whose
    address changes, and must never wait for the device. The first call of a kind runs the function normally,
    on a separate stream, so that libraries choose their algorithms. The second call records and replays it.

    Attributes
    ----------
    function
        What is run.
    enabled
        False to call the function normally, as on a CPU.
    """

    function: Callable[[Any, Tensors], Tensors]
    enabled: bool
    _known: dict[Hashable, _Recording | None] = field(default_factory=dict)
    _pool: Any = None

    def __call__(self, kind: Hashable, tensors: Tensors) -> Tensors:
        """Call the function, or replay its graph on these tensors; returns what the function returns."""
        if not self.enabled:
            return self.function(kind, tensors)
        key = (kind, *(tensor.shape for tensor in tensors))
        if key not in self._known:
            self._known[key] = None
            return self._run_on_own_stream(kind, tensors)
        recording = self._known[key] = self._known[key] or self._record(kind, tensors)
        for recorded, tensor in zip(recording.inputs, tensors, strict=True):
            recorded.copy_(tensor)
        recording.graph.replay()
        return tuple(output.clone() for output in recording.outputs)

    def _run_on_own_stream(self, kind: Any, tensors: Tensors) -> Tensors:
        current = torch.cuda.current_stream()
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            outputs = self.function(kind, tensors)
        current.wait_stream(stream)
        return tuple(output.clone() for output in outputs)

    def _record(self, kind: Any, tensors: Tensors) -> _Recording:
        # Graphs run one after the other, so they can share one pool of memory for intermediate results.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        inputs = tuple(tensor.clone() for tensor in tensors)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self.function(kind, inputs)
        return _Recording(graph, inputs, outputs)
