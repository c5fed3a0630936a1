"""Weights and optimiser state as safetensors; progress as JSON in the header, so both change at once."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.files import atomic_file


def save_weights(path: Path, module: nn.Module) -> None:
    """Write all parameters and buffers, atomically."""
    _save(path, dict(module.state_dict()), None)


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill `module` from what `save_weights` wrote. Raises RunError where the file is missing or damaged."""
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(
            f"{path}: cannot be read as weights ({str(error).splitlines()[0]}); train again"
        ) from None


def save_progress(
    path: Path,
    module: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write weights, averages, optimiser state and `progress` (JSON values) into one file, atomically."""
    tensors = {f"model.{key}": value for key, value in module.state_dict().items()}
    if average is not None:
        tensors |= {f"average.{key}": value for key, value in average.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        # SGD without momentum keeps a None.
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items() if value is not None}
    _save(path, tensors, {"progress": json.dumps(progress)})


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str] | None) -> None:
    with atomic_file(path) as temporary:
        try:
            plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(plain, temporary, metadata=metadata)
        except SafetensorError as error:  # it wraps a full disk, too
            raise RunError(f"{path}: cannot be written ({error}); free space or check permissions") from None


def load_progress(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read `progress` and the tensors of `save_progress`. Raises RunError where the file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
            return progress, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path}: damaged checkpoint ({error}); remove it to train from the start") from None


def restore(
    tensors: dict[str, Tensor],
    module: nn.Module,
    average: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put back what `load_progress` read."""
    module.load_state_dict(below(tensors, "model."))
    if average is not None:
        average.load_state_dict(below(tensors, "average."))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in below(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        # Fused optimisers pair elements by memory order: the state must lie as its parameter does.
        like = parameter if value.shape == parameter.shape else value
        optimizer.state[parameter][name] = torch.empty_like(like, device=parameter.device).copy_(value)


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
