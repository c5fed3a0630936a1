"""Weights of our own networks on disk: safetensors files, and the network of a finished run read from them.

`models.weights` holds the other half: pretrained weights that others have published.
"""

import hashlib
import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.models.classifier import Classifier, build_classifier
from gliascope.models.weights import RANDOM
from gliascope.recipes.run import Run
from gliascope.runtime.files import atomic_file

CHOSEN = "chosen.safetensors"
"""The file in a run's folder that holds the weights of the chosen epoch."""


def save_weights(path: Path, module: nn.Module) -> None:
    """Write all parameters and buffers of `module` to `path`, atomically.

    Raises RunError where the file cannot be written, as on a full disk.
    """
    with atomic_file(path) as temporary:
        write_tensors(temporary, dict(module.state_dict()), {}, displayed_path=path)


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill `module` with what `save_weights` wrote. Raises RunError where the file is missing or damaged."""
    try:
        module.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise RunError(
            f"{path}: cannot be read as weights ({str(error).splitlines()[0]}); train again"
        ) from None


def load_classifier(run: Run) -> Classifier:
    """Rebuild the network of a finished run, on the CPU, with the weights of the chosen epoch.

    Raises RunError where the weights are missing or damaged.
    """
    # The network is filled from the run's own file, so pretrained weights need not be there.
    recipe = run.recipe.model_copy(update={"weights": RANDOM})
    classifier = build_classifier(recipe, len(run.record.classes))
    load_weights(run.folder / CHOSEN, classifier)
    return classifier


def write_tensors(
    path: Path, tensors: dict[str, Tensor], metadata: dict[str, str], *, displayed_path: Path
) -> None:
    """Write tensors, with a digest of them in the file's header, and wait until they are on the disk.

    Parameters
    ----------
    path
        The file to write.
    tensors
        On any device and in any memory layout.
    metadata
        Further text for the header.
    displayed_path
        The path that an error names, since `path` may be a temporary file.

    Raises
    ------
    RunError
        Where the file cannot be written.
    """
    plain = {key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()}
    try:
        save_file(plain, path, metadata=metadata | {"digest": tensors_digest(plain)})
    except SafetensorError as error:  # safetensors reports a full disk with its own error, too
        raise RunError(
            f"{displayed_path}: cannot be written ({error}); free space or check permissions"
        ) from None
    with path.open("rb+") as stream:
        os.fsync(stream.fileno())


def tensors_digest(tensors: dict[str, Tensor]) -> str:
    """BLAKE2b of the names and bytes of contiguous tensors on the CPU, 32 hex digits."""
    content = hashlib.blake2b(digest_size=16)
    for key in sorted(tensors):
        content.update(key.encode())
        content.update(tensors[key].reshape(-1).view(torch.uint8).numpy().data)
    return content.hexdigest()
