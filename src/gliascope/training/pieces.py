"""A network in pieces over all processes, for one that does not fit a device (FSDP; Zhao et al., 2023)."""

from typing import TYPE_CHECKING

import torch
from lightning.fabric import Fabric
from lightning.fabric.strategies.model_parallel import ModelParallelStrategy
from torch import Tensor, fx, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from gliascope.errors import RecipeError
from gliascope.models.cut import trace

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

LEAST = 1_000_000  # parameters of a layer that is put together by itself; all smaller ones are at once


def by_pieces(processes: int) -> ModelParallelStrategy:
    """What makes Fabric cut networks: every process holds its share of each layer and of its optimiser."""
    return ModelParallelStrategy(_cut, data_parallel_size=processes, tensor_parallel_size=1)


def is_in_pieces(fabric: Fabric) -> bool:
    """Whether Fabric cuts networks."""
    return isinstance(fabric.strategy, ModelParallelStrategy)


def _cut(network: nn.Module, mesh: "DeviceMesh") -> nn.Module:
    mesh = mesh["data_parallel"]
    network.to(memory_format=torch.contiguous_format)  # FSDP knows no channels-last weights
    graph = network.graph if isinstance(network, fx.GraphModule) else trace(network).graph
    called = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    direct = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    if isinstance(network, fx.GraphModule) and direct & {name for name, _ in network.named_parameters()}:
        # torch.fx put them into modules of its own: the whole network would not see them trained.
        raise RecipeError(
            "--shard cannot cut this backbone behind what is frozen, as it reads weights past their layers; "
            "freeze nothing (--set stages.0.freeze=null) or choose another"
        )
    # Who reads another one's weights finds them whole only where they are of the last piece, all the time.
    read = {name.rpartition(".")[0] for name in direct}
    for name in sorted(called - read):
        layer = network.get_submodule(name)
        large = sum(parameter.numel() for parameter in layer.parameters()) >= LEAST
        if large and not name.startswith("head."):  # the loss may look at the head's
            fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)
    return network


def own_piece(tensor: Tensor) -> Tensor:
    """What this process holds of it: all, where it is not in pieces."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """Put together; all processes must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def cut_like(tensor: Tensor, like: Tensor) -> Tensor:
    """A whole tensor in the pieces of `like`; all processes must ask."""
    if not isinstance(like, DTensor):
        return tensor
    return distribute_tensor(tensor.to(like.device), like.device_mesh, like.placements)
