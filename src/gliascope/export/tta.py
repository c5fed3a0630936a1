"""The network that is exported: it runs the test-time views of each slice in one batch and averages them."""

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample, log_softmax

from gliascope.models.classifier import Classifier, Normalise
from gliascope.recipes import Recipe
from gliascope.recipes.schema import TtaView


class DeployedNetwork(nn.Module):
    """A classifier with its input normalisation and test-time views.

    Parameters
    ----------
    classifier
        The trained network.
    recipe
        With the preprocessing and the test-time views.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.preprocessing = recipe.preprocessing
        self.normalise = Normalise(recipe.preprocessing)
        self.classifier = classifier
        self.tta = recipe.tta

    @property
    def outputs(self) -> list[str]:
        """Names of the tensors that `forward` returns."""
        return ["logits", "features", *(["maps"] if self.classifier.head.has_activation_maps else [])]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Return averages over the test-time views.

        Parameters
        ----------
        pixels
            As stored: uint8 (n, size, size[, 3]).

        Returns
        -------
        tuple of Tensor
            Logits (n, classes), features (n, features) and, if the head has them, activation maps
            (n, classes, height, width).
        """
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
        """Reshape (views × n, …) to (views, n, …)."""
        return result.reshape(len(self.tta.views), -1, *result.shape[1:])

    def _maps(self, maps: Tensor) -> Tensor:
        """Average the maps of the slice and its mirror image; maps of other views are not aligned with it."""
        upright = [
            maps[number].flip(-1) if one.flip else maps[number]
            for number, one in enumerate(self.tta.views)
            if (one.rotate, one.translate, one.scale) == (0, (0, 0), 1)
        ]
        return torch.stack(upright or list(maps)).mean(0)


def average_views(logits: Tensor, average: Literal["logits", "probabilities"]) -> Tensor:
    """Average logits (views, n, classes) over the views to (n, classes).

    Parameters
    ----------
    logits
        Logits of each view.
    average
        "logits" for their mean, "probabilities" for the logarithm of the mean probabilities.
    """
    if average == "logits":
        return logits.mean(0)
    # Computed from logarithms, because the mean of tiny probabilities would be rounded to 0.
    return log_softmax(logits, dim=2).logsumexp(0) - math.log(len(logits))


def apply_tta_view(images: Tensor, view: TtaView) -> Tensor:
    """Flip images, rotate them counter-clockwise, shift and zoom them about the centre, in this order.

    Parameters
    ----------
    images
        Float (n, channels, size, size), with black as 0. Pixels from outside the image become black.
    view
        The changes.

    Returns
    -------
    Tensor
        Of the shape of `images`.
    """
    if view == TtaView():
        return images
    if view == TtaView(flip=True):
        return images.flip(-1)
    angle, mirror = math.radians(view.rotate), -1 if view.flip else 1
    cosine, sine = math.cos(angle), math.sin(angle)
    right, down = (2 * shift for shift in view.translate)  # the grid has a width of 2
    # Map positions in the view to positions in the image: undo every step, the last one first.
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
    # Exported to ONNX, so the grid must not depend on the number of images.
    grid = grid.expand(images.shape[0], -1, -1, -1)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
