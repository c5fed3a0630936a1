"""Weights and optimiser state as safetensors; progress as JSON in the header, so both change at once."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.models.classifier import Classifier, build_classifier
from gliascope.models.weights import RANDOM
from gliascope.recipes.run import Run
from gliascope.runtime.files import atomic_file
from gliascope.runtime.progress import note

LAST, PREVIOUS = "last.safetensors", "previous.safetensors"


def save_weights(path: Path, module: nn.Module) -> None:
    """Write all parameters and buffers, atomically."""
    with atomic_file(path) as temporary:
        _write(temporary, path, dict(module.state_dict()), {})


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill `module` from what `save_weights` wrote. Raises RunError where the file is missing or damaged."""
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(
            f"{path}: cannot be read as weights ({str(error).splitlines()[0]}); train again"
        ) from None


def load_classifier(run: Run) -> Classifier:
    """The network of a finished run, on the CPU. Raises RunError where its weights are missing or damaged."""
    # The run's own weights follow: none need be had from elsewhere.
    recipe = run.recipe.model_copy(update={"weights": RANDOM})
    classifier = build_classifier(recipe, len(run.record.classes))
    load_weights(run.folder / "chosen.safetensors", classifier)
    return classifier


def save_progress(
    folder: Path,
    module: nn.Module,
    averaged: nn.Module | None,
    optimizer: torch.optim.Optimizer,
    progress: dict[str, Any],
) -> None:
    """Write weights, averages, optimiser state and `progress` (JSON values) into one file, atomically.

    What was the last checkpoint is kept as the one before.
    """
    tensors = {f"model.{key}": value for key, value in module.state_dict().items()}
    if averaged is not None:
        tensors |= {f"average.{key}": value for key, value in averaged.state_dict().items()}
    for number, state in optimizer.state_dict()["state"].items():
        # SGD without momentum keeps a None.
        tensors |= {f"optimizer.{number}.{key}": value for key, value in state.items() if value is not None}
    last = folder / LAST
    with atomic_file(last) as temporary:
        _write(temporary, last, tensors, {"progress": json.dumps(progress)})
        if last.exists():
            last.replace(folder / PREVIOUS)


def _write(path: Path, final: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write a file with a digest of the tensors, and wait for the disk."""
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    try:
        save_file(plain, path, metadata=metadata | {"digest": _digest(plain)})
    except SafetensorError as error:  # it wraps a full disk, too
        raise RunError(f"{final}: cannot be written ({error}); free space or check permissions") from None
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def _digest(tensors: dict[str, Tensor]) -> str:
    content = hashlib.blake2b(digest_size=16)
    for key in sorted(tensors):
        content.update(key.encode())
        content.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()


def load_progress(folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """`progress` and the tensors of the last checkpoint in a folder; None where there is none.

    One that is damaged is removed, said so, and the one before taken.
    """
    for path in (folder / LAST, folder / PREVIOUS):
        try:
            return _read(path)
        except FileNotFoundError:
            continue
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            before = "the one before" if (folder / PREVIOUS).exists() and path.name == LAST else "the start"
            note(f"{path}: damaged checkpoint ({error}); going on from {before}")
            path.unlink(missing_ok=True)  # or the next one would be kept behind it
    return None


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    with safe_open(path, framework="pt") as file:
        told = file.metadata()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if told["digest"] != _digest(tensors):
        raise ValueError("its content is not what was written")
    return json.loads(told["progress"]), tensors


def restore(
    tensors: dict[str, Tensor],
    module: nn.Module,
    averaged: nn.Module | None,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Put back what `load_progress` read."""
    module.load_state_dict(with_prefix(tensors, "model."))
    if averaged is not None:
        averaged.load_state_dict(with_prefix(tensors, "average."))
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for key, value in with_prefix(tensors, "optimizer.").items():
        number, name = key.split(".", 1)
        parameter = parameters[int(number)]
        # Fused optimisers pair elements by memory order: the state must lie as its parameter does.
        like = parameter if value.shape == parameter.shape else value
        optimizer.state[parameter][name] = torch.empty_like(like, device=parameter.device).copy_(value)


def with_prefix(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names start with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
