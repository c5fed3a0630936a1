"""Training in one process, or in several that share the work."""

import os
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from gliascope.errors import RunError
from gliascope.runtime.executors import cores
from gliascope.training.environment import keep_freed_memory

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def create_fabric(devices: int = 1) -> "Fabric":
    """Create a Lightning Fabric for data-parallel training on `devices` GPUs or, without any, CPU processes.

    Under `torchrun`, which has started the processes already, the numbers that it sets in the environment
    count, and `devices` does not. Raises RunError where this machine has fewer GPUs.
    """
    from lightning.fabric import Fabric

    if torch.distributed.is_torchelastic_launched():
        local, total = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        return Fabric(accelerator="auto", devices=local, num_nodes=total // local, strategy="ddp")
    gpus = torch.cuda.device_count()
    if gpus and devices > gpus:
        raise RunError(f"--devices {devices}: this machine has {gpus} GPUs; ask for fewer")
    if devices == 1:
        return Fabric(accelerator="auto", devices=1)
    return Fabric(accelerator="auto", devices=devices, strategy="ddp_spawn")


def set_threads(fabric: "Fabric") -> None:
    """Divide the cores among the processes of this machine: more threads than cores slow each other down."""
    if fabric.world_size > 1:
        keep_freed_memory()
        # `cores` already divides by the number of torchrun's processes, but not of those that Fabric starts.
        processes = 1 if "LOCAL_WORLD_SIZE" in os.environ else fabric.world_size
        torch.set_num_threads(max(1, cores() // processes))


def own_share(fabric: "Fabric", items: NDArray[np.int64]) -> NDArray[np.int64]:
    """Select this process's items of a list that all processes share: every `world_size`-th, (n,) to (k,)."""
    return items[fabric.global_rank :: fabric.world_size]
