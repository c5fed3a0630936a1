"""Checkpoints of an unfinished training: weights, optimiser state and progress, all in one safetensors file.

The progress is JSON in the file's header, so that it always belongs to the tensors beside it.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from gliascope.models.weight_files import tensors_digest, write_tensors
from gliascope.runtime.files import atomic_file
from gliascope.runtime.progress import note

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"


def save_progress(
    folder: Path,
    module: nn.Module,
    averaged: nn.Module | None,
    *,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write a checkpoint atomically; the checkpoint before it is renamed to PREVIOUS.

    Parameters
    ----------
    folder
        The run's folder; the checkpoint is its file LAST.
    module
        The network that is trained.
    averaged
        The network of averaged weights, where the recipe asks for one.
    optimizer
        Its state is written.
    progress
        JSON values that `load_progress` returns again.

    Raises
    ------
    RunError
        Where the file cannot be written, as on a full disk.
    """
    tensors = {f"model.{key}": value for key, value in module.state_dict().items()}
    if averaged is not None:
        tensors |= {f"average.{key}": value for key, value in averaged.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        # SGD without momentum has a None among its state.
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items() if value is not None}
    last = folder / LAST
    with atomic_file(last) as temporary:
        write_tensors(temporary, tensors, {"progress": json.dumps(progress)}, displayed_path=last)
        if last.exists():
            last.replace(folder / PREVIOUS)


def load_progress(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Read the last checkpoint in a folder: its `progress` and its tensors; None where there is none.

    A damaged checkpoint is reported with a note and deleted, and the previous one is read instead.
    """
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            return _read(path)
        except FileNotFoundError:
            continue
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            fallback = (
                "the previous one" if (folder / PREVIOUS).exists() and path.name == LAST else "the start"
            )
            note(f"{path}: damaged checkpoint ({error}); training continues from {fallback}")
            path.unlink(missing_ok=True)  # otherwise the next save would rename it to PREVIOUS
    return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if metadata["digest"] != tensors_digest(tensors):
        raise ValueError("its content is not what was written")
    return json.loads(metadata["progress"]), tensors


def restore(
    tensors: dict[str, Tensor],
    module: nn.Module,
    averaged: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Fill the networks and the optimiser with the tensors that `load_progress` read.

    Parameters
    ----------
    tensors
        All tensors of the checkpoint.
    module, averaged
        As for `save_progress`.
    optimizer
        Of the same parameters, in the same order, as the one that was saved.
    """
    module.load_state_dict(with_prefix(tensors, "model."))
    if averaged is not None:
        averaged.load_state_dict(with_prefix(tensors, "average."))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in with_prefix(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        # Fused optimisers pair elements by memory order: a state needs the memory layout of its parameter.
        like = parameter if value.shape == parameter.shape else value
        optimizer.state[parameter][name] = torch.empty_like(like, device=parameter.device).copy_(value)


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Select the tensors whose names start with `prefix`, which is removed from their names."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
