"""The network a recipe describes."""

import torch
from torch import Tensor, nn

from gliascope.data.preprocess import Preprocessing
from gliascope.errors import RecipeError
from gliascope.models.heads import ClassifierHead, create_head
from gliascope.models.weights import pretrained_backbone
from gliascope.recipes import Recipe


class Classifier(nn.Module):
    """Backbone and head: normalised images (n, 3, size, size) to logits (n, classes)."""

    def __init__(self, backbone: nn.Module, head: ClassifierHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    head: ClassifierHead

    def forward(self, images: Tensor) -> Tensor:
        """Normalised float images (n, 3, height, width) to logits (n, classes)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def build_classifier(recipe: Recipe, classes: int) -> Classifier:
    """Backbone with pretrained weights and a fresh head, drawn from the recipe's seed.

    Raises WeightsError where no weights can be had, RecipeError for a backbone that ends in tokens.
    """
    torch.manual_seed(recipe.seed)
    backbone = pretrained_backbone(recipe.backbone, recipe.weights)
    size = recipe.preprocessing.size
    with torch.inference_mode():
        maps = backbone.eval()(torch.zeros(1, 3, size, size))
    if maps.ndim != 4:
        raise RecipeError(
            f"{recipe.backbone}: expected a feature map (n, channels, height, width) but got {maps.ndim}-D"
        )
    head = create_head(recipe.head, int(backbone.num_features), classes)  # type: ignore[arg-type]
    return Classifier(backbone, head).to(memory_format=torch.channels_last)


class Normalise(nn.Module):
    """uint8 pixels as stored, (n, size, size) or (n, size, size, 3), to (n, 3, size, size) floats."""

    mean: Tensor
    std: Tensor

    def __init__(self, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.grey = preprocessing.channels == "grey"
        self.register_buffer("mean", torch.tensor(preprocessing.mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(preprocessing.std)[:, None, None], persistent=False)

    def to_unit(self, pixels: Tensor) -> Tensor:
        """uint8 to floats in [0, 1], channels first: (n, 1 or 3, size, size)."""
        pixels = pixels[:, None] if self.grey else pixels.permute(0, 3, 1, 2)
        return pixels.float() / 255

    def normalise(self, images: Tensor) -> Tensor:
        """[0, 1] images (n, 1 or 3, size, size) to normalised (n, 3, size, size)."""
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.std

    def forward(self, pixels: Tensor) -> Tensor:
        """Both steps."""
        return self.normalise(self.to_unit(pixels))
