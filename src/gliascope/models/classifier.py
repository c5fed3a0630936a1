"""Build the network that a recipe describes, and the normalisation of its input."""

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gliascope.errors import RecipeError
from gliascope.models.heads import ClassifierHead, create_head
from gliascope.models.weights import pretrained_backbone
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import Recipe


class Classifier(nn.Module):
    """A backbone and a head.

    Parameters
    ----------
    backbone
        Maps normalised images (n, 3, input_size, input_size) to a feature map.
    head
        Maps the feature map to logits (n, classes).
    input_size
        Side of the images, in pixels.
    """

    head: ClassifierHead

    def __init__(self, backbone: nn.Module, head: ClassifierHead, input_size: int = 224) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.input_size = input_size

    @property
    def class_count(self) -> int:
        """Number of classes."""
        return self.head.class_count

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n, classes) of normalised float images (n, 3, height, width)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def build_classifier(recipe: Recipe, class_count: int) -> Classifier:
    """Build the recipe's backbone with its weights, and a head initialised from the recipe's seed.

    Parameters
    ----------
    recipe
        With the backbone, weights, head and seed.
    class_count
        Number of classes.

    Raises
    ------
    WeightsError
        If the weights cannot be found or do not fit.
    RecipeError
        If the backbone has no feature map, or the head does not suit the classes.
    """
    torch.manual_seed(recipe.seed)
    backbone = pretrained_backbone(recipe.backbone, recipe.weights)
    size = recipe.preprocessing.input_size
    head = create_head(recipe.head, _channels(backbone, recipe.backbone, size), class_count)
    if recipe.batch_norm_momentum is not None:
        for module in backbone.modules():
            if isinstance(module, _BatchNorm):
                module.momentum = recipe.batch_norm_momentum
    return Classifier(backbone, head, size).to(memory_format=torch.channels_last)


def _channels(backbone: nn.Module, name: str, size: int) -> int:
    with torch.inference_mode():
        maps = backbone.eval()(torch.zeros(1, 3, size, size))
    if maps.ndim != 4 or getattr(backbone, "output_fmt", "NCHW") != "NCHW":
        raise RecipeError(
            f"{name}: expected a feature map (n, channels, height, width) but got {list(maps.shape)}; "
            "choose a convolutional backbone"
        )
    return int(maps.shape[1])


class Normalise(nn.Module):
    """Turn stored uint8 pixels, (n, size, size) or (n, size, size, 3), into the network's input.

    The input is float, (n, 3, input_size, input_size). `preprocessing` must have a mean and a std; without
    them a ValueError is raised.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        if preprocessing.mean is None or preprocessing.std is None:
            raise ValueError(
                "expected a mean and a std but got none; `backbones.complete_recipe` fills them in"
            )
        self.grey = preprocessing.channels == "grey"
        self.centre_slice = slice(preprocessing.margin, preprocessing.margin + preprocessing.input_size)
        self.register_buffer("mean", torch.tensor(preprocessing.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std)[:, None, None], persistent=False)

    def scale_to_unit(self, pixels: Tensor) -> Tensor:
        """Return uint8 pixels as floats in [0, 1], channels first: (n, 1 or 3, size, size)."""
        pixels = pixels[:, None] if self.grey else pixels.permute(0, 3, 1, 2)
        return pixels.float() / 255

    def centre_crop(self, images: Tensor) -> Tensor:
        """Return the central square without the margin: (n, c, input_size, input_size)."""
        return images[:, :, self.centre_slice, self.centre_slice]

    def normalise(self, images: Tensor) -> Tensor:
        """Normalise images in [0, 1], (n, 1 or 3, height, width), to (n, 3, height, width)."""
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """Scale, crop and normalise stored pixels."""
        return self.normalise(self.centre_crop(self.scale_to_unit(pixels)))
