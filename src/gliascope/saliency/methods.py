"""Saliency methods by name. A new method is one row of METHODS."""

import io
from collections.abc import Callable
from contextlib import redirect_stderr
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gliascope.errors import GliascopeError
from gliascope.models.classifier import Classifier, Normalise

PATCH_SHARE, PATCHES_PER_SIDE = 1 / 5, 9
"""Occlusion: side of a patch as a share of the slice's, similar to a lesion; number of patches per side."""
BATCH_SIZE = 8  # slices whose activations are kept in memory for the gradients

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SaliencyModel:
    """A model whose predictions are explained.

    Parameters
    ----------
    classifier
        The trained network, in evaluation mode.
    normalise
        Turns stored pixels into the network's input.
    averages_mirror_image
        Whether the deployed model averages a slice and its mirror image.
    predict_logits
        The deployed model: stored pixels, uint8 (n, size, size[, 3]), to logits (n, classes).
    """

    classifier: Classifier
    normalise: Normalise
    averages_mirror_image: bool
    predict_logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


SaliencyMethod = Callable[[SaliencyModel, NDArray[np.uint8], NDArray[np.int64]], Maps]
"""Model, stored pixels (n, size, size[, 3]) and a class for each slice (n,), to maps (n, height, width)."""


def saliency_maps(
    name: str, model: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> Maps:
    """Compute one saliency map per slice.

    If the deployed model averages a slice and its mirror image, so does every method.

    Parameters
    ----------
    name
        A key of METHODS.
    model
        The model whose predictions are explained.
    pixels
        Slices as stored, uint8 (n, size, size[, 3]).
    classes
        Number of the class to explain for each slice, (n,).

    Returns
    -------
    Maps
        Float32 (n, height, width), over the central square that the network sees. Values above 0 are evidence
        for the class. The scale depends on the method.

    Raises
    ------
    GliascopeError
        If the method is unknown or does not suit the head.
    """
    describe_method(name)
    return METHODS[name](model, pixels, classes)


def describe_method(name: str) -> str:
    """Describe a method in a sentence. Raises GliascopeError for an unknown name, with the choices."""
    if name not in METHODS:
        raise GliascopeError(f"unknown method {name!r}; choose from {', '.join(METHODS)}")
    return str(METHODS[name].__doc__).splitlines()[0]


def grad_cam(model: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Channels of the last feature map, each by its mean slope (Selvaraju et al. 2017).

    Computed in closed form as in the exported model, without the final ReLU. Raises GliascopeError for a head
    without `activation_maps`.
    """
    head = model.classifier.head
    if not head.has_activation_maps:
        raise GliascopeError("this head has no Grad-CAM in closed form; choose other --methods")

    def cam(images: Tensor, labels: NDArray[np.int64]) -> Maps:
        with torch.inference_mode():
            maps = head.activation_maps(model.classifier.backbone(images))
        return np.asarray(maps.numpy()[np.arange(len(maps)), labels])

    return _of_views(cam, model, pixels, classes)


def hires_cam(model: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Positions of the last feature map, each by its own slope (Draelos & Carin 2021).

    It equals Grad-CAM if the head is average pooling and one linear layer.
    """
    from pytorch_grad_cam import HiResCAM

    return _of_views(_Library(HiResCAM, model.classifier), model, pixels, classes)


def score_cam(model: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Channels of the last feature map, each by the prediction for the slice it masks (Wang et al. 2020).

    The network runs once per channel: with 1,280 channels, about a minute per slice on one core.
    """
    from pytorch_grad_cam import ScoreCAM

    return _of_views(_Library(ScoreCAM, model.classifier), model, pixels, classes)


def occlusion(model: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Patches, each by how much the prediction loses when the patch is black (Zeiler & Fergus 2014).

    A pixel's value is the mean loss of log-odds over the patches that cover it. The paper uses the
    probability; log-odds give the same order of patches and still differ where the probability is nearly 1.
    """
    size, inner = model.classifier.input_size, model.normalise.centre_slice
    patch = round(PATCH_SHARE * size)
    starts = np.linspace(0, size - patch, PATCHES_PER_SIDE).round().astype(int)
    corners = [(row, column) for row in starts for column in starts]
    patches = np.zeros((len(corners), size, size), dtype=bool)
    for one, (row, column) in zip(patches, corners, strict=True):
        one[row : row + patch, column : column + patch] = True
    maps = np.empty((len(pixels), size, size), dtype=np.float32)
    for number, (slice_, label) in enumerate(zip(pixels, classes.tolist(), strict=True)):
        hidden = np.repeat(slice_[None], len(corners), axis=0)
        hidden[:, inner, inner][patches] = 0
        odds = _log_odds(model.predict_logits(np.concatenate([slice_[None], hidden])), label)
        maps[number] = np.tensordot(odds[0] - odds[1:], patches, axes=1) / patches.sum(axis=0)
    return maps


METHODS: dict[str, SaliencyMethod] = {
    "grad_cam": grad_cam,
    "hires_cam": hires_cam,
    "occlusion": occlusion,
    "score_cam": score_cam,
}


@dataclass(frozen=True, slots=True)
class _Target:
    """The logit that is explained; with one sigmoid neuron z, half of z or -z for each class."""

    label: int
    neuron: bool

    def __call__(self, logits: Tensor) -> Tensor:
        return logits[self.label] - logits.mean() if self.neuron else logits[self.label]


class _Library:
    """A method of pytorch-grad-cam on the backbone's output: maps (n, h, w) from 0 to 1, after ReLU."""

    def __init__(self, kind: type, classifier: Classifier) -> None:
        self.kind, self.classifier = kind, classifier
        self.neuron = bool(getattr(classifier.head, "sigmoid", False))

    def __call__(self, images: Tensor, labels: NDArray[np.int64]) -> Maps:
        targets = [_Target(label, self.neuron) for label in labels.tolist()]
        method = self.kind(self.classifier, [self.classifier.backbone])
        # Keeps the library from enlarging its maps: those of all methods are enlarged alike later.
        method.get_target_width_height = lambda _images: None
        try:
            with redirect_stderr(io.StringIO()):  # its progress bars cannot be turned off
                return np.asarray(method(images.detach().requires_grad_(), targets), dtype=np.float32)
        finally:
            method.activations_and_grads.release()


def _of_views(
    cam: Callable[[Tensor, NDArray[np.int64]], Maps],
    model: SaliencyModel,
    pixels: NDArray[np.uint8],
    classes: NDArray[np.int64],
) -> Maps:
    """Compute maps in batches, averaged with those of the mirror images if the deployed model does that."""
    found = []
    for first in range(0, len(pixels), BATCH_SIZE):
        some = slice(first, first + BATCH_SIZE)
        images = model.normalise(torch.from_numpy(np.ascontiguousarray(pixels[some])))
        maps = cam(images, classes[some])
        found.append(
            (maps + cam(images.flip(-1), classes[some])[:, :, ::-1]) / 2
            if model.averages_mirror_image
            else maps
        )
    return np.concatenate(found)


def _log_odds(logits: NDArray[np.float32], label: int) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of a class, (n,)."""
    others = np.delete(logits.astype(np.float64), label, axis=1)
    return np.asarray(logits[:, label] - np.logaddexp.reduce(others, axis=1))
