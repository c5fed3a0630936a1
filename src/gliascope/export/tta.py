"""The deployed network: test-time views of each slice in one batch, and what is made of them."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, log_softmax

from gliascope.models.classifier import Classifier, Normalise
from gliascope.recipes import Recipe
from gliascope.recipes.schema import TtaView


class DeployedNetwork(nn.Module):
    """uint8 pixels (n, size, size[, 3]) to logits, features and, if the head has them, activation maps."""

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.preprocessing = recipe.preprocessing
        self.normalise = Normalise(recipe.preprocessing)
        self.classifier = classifier
        self.tta = recipe.tta

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns."""
        return ["logits", "features", *(["maps"] if self.classifier.head.has_activation_maps else [])]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Averages over the views: logits (n, classes), features (n, f) and any maps (n, classes, h, w)."""
        whole = self.normalise.scale_to_unit(pixels)
        views = [self.normalise.centre_crop(apply_tta_view(whole, one)) for one in self.tta.views]
        feature_maps = self.classifier.backbone(self.normalise.normalise(torch.cat(views)))
        head = self.classifier.head
        features = head.features(feature_maps)
        logits = average_views(self._apart(head.logits(features)), self.tta.average)
        results = [logits, self._apart(features).mean(0)]
        if head.has_activation_maps:
            results.append(self._maps(self._apart(head.activation_maps(feature_maps))))
        return tuple(results)

    def _apart(self, result: Tensor) -> Tensor:
        """(views × n, …) to (views, n, …)."""
        return result.reshape(len(self.tta.views), -1, *result.shape[1:])

    def _maps(self, maps: Tensor) -> Tensor:
        """Mean over the views that are the slice or its mirror image; other ones lie elsewhere."""
        upright = [
            maps[number].flip(-1) if one.flip else maps[number]
            for number, one in enumerate(self.tta.views)
            if (one.rotate, one.translate, one.scale) == (0, (0, 0), 1)
        ]
        return torch.stack(upright or list(maps)).mean(0)


def average_views(logits: Tensor, average: Literal["logits", "probabilities"]) -> Tensor:
    """(views, n, classes) to (n, classes): the mean, or the logarithm of the mean of the probabilities."""
    if average == "logits":
        return logits.mean(0)
    # Not the logarithm of a mean: what one view rules out would become -inf by rounding.
    return log_softmax(logits, dim=2).logsumexp(0) - math.log(len(logits))


def apply_tta_view(images: Tensor, view: TtaView) -> Tensor:
    """One view at prediction of images (n, channels, size, size) whose black is 0; the same shape.

    They are flipped, turned counter-clockwise, shifted, and enlarged from the middle, in this order. The
    exported graph holds this, so the grid must not depend on how many images there are.
    """
    if view == TtaView():
        return images
    if view == TtaView(flip=True):
        return images.flip(-1)
    angle, mirror = math.radians(view.rotate), -1 if view.flip else 1
    cosine, sine = math.cos(angle), math.sin(angle)
    right, down = (2 * shift for shift in view.translate)  # the grid is two wide
    # From the view's position back to the picture's: every step undone, the last one first.
    rows = [
        [
            mirror * cosine / view.scale,
            -mirror * sine / view.scale,
            mirror * (sine * down - cosine * right),
        ],
        [sine / view.scale, cosine / view.scale, -sine * right - cosine * down],
    ]
    matrix = torch.tensor([rows], dtype=images.dtype, device=images.device)
    grid = affine_grid(matrix, [1, 1, *images.shape[2:]], align_corners=False)
    grid = grid.expand(images.shape[0], -1, -1, -1)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
