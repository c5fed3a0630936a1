"""One process, or several that train together."""

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
    """Lightning Fabric on `devices` GPUs or, without any, CPU processes of this machine, data parallel.

    Under `torchrun`, which has started the processes already, its numbers count. Raises RunError where
    there are fewer GPUs.
    """
    from lightning.fabric import Fabric

    if torch.distributed.is_torchelastic_launched():
        here, all_ = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        return Fabric(accelerator="auto", devices=here, num_nodes=all_ // here, strategy="ddp")
    gpus = torch.cuda.device_count()
    if gpus and devices > gpus:
        raise RunError(f"--devices {devices}: this machine has {gpus}")
    if devices == 1:
        return Fabric(accelerator="auto", devices=1)
    return Fabric(accelerator="auto", devices=devices, strategy="ddp_spawn")


def set_threads(fabric: "Fabric") -> None:
    """Set up a process that others train beside: more threads than cores slow each other down."""
    if fabric.world_size > 1:
        keep_freed_memory()
        # `cores` knows of torchrun's processes, and not of ours.
        beside = 1 if "LOCAL_WORLD_SIZE" in os.environ else fabric.world_size
        torch.set_num_threads(max(1, cores() // beside))


def own_share(fabric: "Fabric", places: NDArray[np.int64]) -> NDArray[np.int64]:
    """What this process does of work that all processes share."""
    return places[fabric.global_rank :: fabric.world_size]
