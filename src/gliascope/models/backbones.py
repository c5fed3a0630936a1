"""Create backbones by name: those of timm and those in OWN_BACKBONES, where new ones are added."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from typing import cast

import torch
from torch import Tensor, nn

from gliascope.errors import WeightsError
from gliascope.models.residual import DEPTHS, ResidualNetwork
from gliascope.recipes import Recipe

Colour = tuple[float, float, float]


def _resnet50_keras() -> nn.Module:
    """ResNet50 as in Keras: the first convolution of a stage has the stride, not the second."""
    import timm

    network: nn.Module = timm.create_model("resnet50", pretrained=False, num_classes=0, global_pool="")
    for stage in ("layer2", "layer3", "layer4"):
        for name, stride in (("conv1", (2, 2)), ("conv2", (1, 1))):
            network.get_submodule(f"{stage}.0.{name}").stride = stride  # type: ignore[assignment]
    return network


@dataclass(frozen=True, slots=True)
class _Own:
    create: Callable[[], nn.Module]
    mean: Colour
    std: Colour
    input_size: int = 224


OWN_BACKBONES = {
    # There are no pretrained weights, so the input stays in [0, 1].
    **{f"residual{d}": _Own(partial(ResidualNetwork, d), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)) for d in DEPTHS},
    "resnet50_keras": _Own(_resnet50_keras, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

# EfficientNet-Lite was published with (x - 127) / 128; timm has (x - 127.5) / 127.5.
_LITE: tuple[Colour, Colour] = ((0.498, 0.498, 0.498), (0.502, 0.502, 0.502))
# Mean and std where timm's are wrong.
NORMALISATION = {f"tf_efficientnet_lite{n}": _LITE for n in range(5)}

# First layer of `layers[int(0.7 * len(layers)):]` in Keras 3 (without its top), where ours differs.
KERAS_TOP30_LAYERS = {
    # Layer 359 of 513, block6e_add: block6f_expand_conv is the first that can learn. By our count of 412
    # layers, 0.7 ends one batch norm earlier; `freeze: backbone.blocks.5.4` is what Keras users get.
    "tf_efficientnetv2_s": "blocks.5.5.conv_pw",
    # Layer 13 of 19, block4_conv3; Keras has each ReLU in its convolution, so ours is features.22.
    "vgg16": "features.21",
}


@dataclass(frozen=True, slots=True)
class BackboneDefaults:
    """Input size and normalisation of a backbone's pretrained weights; the tag in its name selects them."""

    name: str
    input_size: int
    """Side of the images that the weights were trained on, in pixels."""
    mean: Colour
    std: Colour
    """Mean and standard deviation of each channel, for pixels in [0, 1]."""

    @property
    def top30_layer(self) -> str:
        """Name of the first of the top 30 % of the backbone's layers.

        It is taken from KERAS_TOP30_LAYERS, or else the first layer that `freeze: 0.7` leaves trainable.
        """
        if architecture(self.name) in KERAS_TOP30_LAYERS:
            return KERAS_TOP30_LAYERS[architecture(self.name)]
        layers = _structure(self.name)[0]
        return layers[round(0.7 * len(layers))]

    @property
    def saliency_layer(self) -> str:
        """Name of the module whose output the head pools."""
        return _structure(self.name)[1]


def backbone_defaults(name: str) -> BackboneDefaults:
    """Return the defaults of a backbone. Raises WeightsError for an unknown name, with similar names."""
    import timm

    _check(name)
    if name in OWN_BACKBONES:
        own = OWN_BACKBONES[name]
        return BackboneDefaults(name, own.input_size, own.mean, own.std)
    config = timm.get_pretrained_cfg(name)
    if config is None:
        raise WeightsError(f"timm knows no normalisation of {name!r}; choose another backbone")
    stated = NORMALISATION.get(architecture(name), (config.mean, config.std))
    mean, std = (cast(Colour, tuple(values)) for values in stated)
    return BackboneDefaults(name, int(config.input_size[-1]), mean, std)


def complete_recipe(recipe: Recipe) -> Recipe:
    """Return the recipe with the backbone's mean and std filled in where it has none.

    Raises WeightsError for an unknown backbone.
    """
    backbone, stated = backbone_defaults(recipe.backbone), recipe.preprocessing
    filled = {"mean": stated.mean or backbone.mean, "std": stated.std or backbone.std}
    return recipe.model_copy(update={"preprocessing": stated.model_copy(update=filled)})


def architecture(name: str) -> str:
    """Return a backbone's name without timm's tag of the weights."""
    return name.partition(".")[0]


def create_backbone(name: str, pretrained: bool = False) -> nn.Module:
    """Create a network from normalised images (n, 3, height, width) to a feature map.

    It has no pooling, no classifier, and no dense layers before that.

    Parameters
    ----------
    name
        A name in OWN_BACKBONES, or one of timm's.
    pretrained
        Let timm download weights, which raises whatever its hub client raises. Otherwise they are random.

    Raises
    ------
    WeightsError
        If the name is unknown.
    """
    import timm
    from timm.models.vgg import VGG

    _check(name)
    if name in OWN_BACKBONES:
        return OWN_BACKBONES[name].create()
    model: nn.Module = timm.create_model(name, pretrained=pretrained, num_classes=0, global_pool="")
    if isinstance(model, VGG):
        model.pre_logits = nn.Identity()  # type: ignore[assignment]  # two dense layers of 4,096
    return model


def execution_order(network: nn.Module, images: Tensor) -> tuple[str, ...]:
    """Return the names of a network's layers in the order in which they first run on `images`.

    A layer is a module that computes something itself, such as a convolution, normalisation, activation or
    pooling. Blocks of layers and identities do not count. Keras also counts sums, products, paddings and
    reshapes, which are plain functions in PyTorch.

    Parameters
    ----------
    network
        Run once in evaluation mode; its modes are restored.
    images
        Input of the network, (n, 3, height, width).
    """
    order: dict[str, None] = {}
    handles = []
    for name, module in network.named_modules():
        children = list(module.children())
        owns = next(module.parameters(recurse=False), None) is not None
        if isinstance(module, nn.Identity) or (children and not owns):
            continue

        def record(*_: object, name: str = name) -> None:
            order.setdefault(name)

        # A block with parameters of its own counts after its layers.
        block = any(next(child.parameters(), None) is not None for child in children)
        handles.append(
            module.register_forward_hook(record) if block else module.register_forward_pre_hook(record)
        )
    modes = {module: module.training for module in network.modules()}
    try:
        with torch.no_grad():
            network.eval()(images)
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    return tuple(order)


@cache
def _structure(name: str) -> tuple[tuple[str, ...], str]:
    """Return the layers in order of execution, and the module whose output is the feature map."""
    size = backbone_defaults(name).input_size
    with torch.device("meta"), torch.no_grad():  # computes shapes only
        network, images = create_backbone(name).eval(), torch.zeros(1, 3, size, size)
        layers = execution_order(network, images)
        ended: list[tuple[str, Tensor, int]] = []

        def record(_module: nn.Module, _inputs: object, output: object, part: str) -> None:
            if part and isinstance(output, Tensor):
                ended.append((part, output, output._version))

        for part, module in network.named_modules():
            module.register_forward_hook(partial(record, part=part))
        maps = network(images)
    # Modules that returned the final tensor, not changed in place since. The outermost is chosen, and the
    # first of those: identities in place of pooling and classifier follow it.
    final = [part for part, output, version in ended if output is maps and version == maps._version]
    return layers, min(final, key=lambda part: part.count("."))


def _check(name: str) -> None:
    if name in OWN_BACKBONES:
        return
    import timm

    if not timm.is_model(name):
        near = difflib.get_close_matches(architecture(name), [*OWN_BACKBONES, *timm.list_models()], n=5)
        raise WeightsError(
            f"unknown backbone {name!r}; the nearest are {', '.join(near) or 'none: see timm.list_models()'}"
        )
    try:
        timm.get_pretrained_cfg(name)
    except RuntimeError:
        tags = timm.list_pretrained(f"{architecture(name)}.*")
        raise WeightsError(f"timm has no weights {name!r}; it has {', '.join(tags) or 'none'}") from None
