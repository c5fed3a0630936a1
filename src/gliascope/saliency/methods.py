"""Saliency maps of a trained network, by name. A new method is one row of METHODS."""

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
"""Of occlusion: a patch's side as a share of the slice's, about that of a lesion; how many along a side."""
BATCH_SIZE = 8  # slices whose every layer is held for the slopes

Maps = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SaliencyModel:
    """What is explained.

    classifier: the trained network, in evaluation mode. normalise: makes its input of stored pixels.
    mirrored: whether the deployed model averages the slice and its mirror image.
    logits: the deployed model, of stored pixels (n, size, size[, 3]), uint8, the logits (n, classes).
    """

    classifier: Classifier
    normalise: Normalise
    averages_mirror_image: bool
    predict_logits: Callable[[NDArray[np.uint8]], NDArray[np.float32]]


SaliencyMethod = Callable[[SaliencyModel, NDArray[np.uint8], NDArray[np.int64]], Maps]
"""Subject, stored pixels (n, size, size[, 3]) and a class for each, (n,), to maps (n, height, width)."""


def saliency_maps(
    name: str, subject: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]
) -> Maps:
    """Maps (n, height, width), each of one slice for one class, of the square that the network sees.

    pixels: as stored, uint8 (n, size, size[, 3]). classes: (n,). Where the deployed model averages a slice
    and its mirror image, so do all methods. What is above 0 speaks for the class; the scale is the method's
    own. Raises GliascopeError as `describe`, and where a method does not suit the head.
    """
    describe_method(name)
    return METHODS[name](subject, pixels, classes)


def describe_method(name: str) -> str:
    """What a method does, in a sentence. Raises GliascopeError for an unknown one, listing the choices."""
    if name not in METHODS:
        raise GliascopeError(f"unknown method {name!r}; choose from {', '.join(METHODS)}")
    return str(METHODS[name].__doc__).splitlines()[0]


def grad_cam(subject: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Channels of the last feature map, each by its mean slope (Selvaraju et al. 2017).

    In closed form, as the exported graph has it, before the final ReLU. Raises GliascopeError for a head
    without it.
    """
    head = subject.classifier.head
    if not head.has_activation_maps:
        raise GliascopeError("this head has no Grad-CAM in closed form; choose other --methods")

    def cam(images: Tensor, labels: NDArray[np.int64]) -> Maps:
        with torch.inference_mode():
            maps = head.activation_maps(subject.classifier.backbone(images))
        return np.asarray(maps.numpy()[np.arange(len(maps)), labels])

    return _of_views(cam, subject, pixels, classes)


def hires_cam(subject: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Places of the last feature map, each by its own slope (Draelos & Carin 2021).

    The same as Grad-CAM where the head is average pooling and one linear layer.
    """
    from pytorch_grad_cam import HiResCAM

    return _of_views(_Library(HiResCAM, subject.classifier), subject, pixels, classes)


def score_cam(subject: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Channels of the last feature map, each by the answer to the slice seen through it (Wang et al. 2020).

    A run of the network for each channel: with 1,280 of them, about a minute a slice on one core.
    """
    from pytorch_grad_cam import ScoreCAM

    return _of_views(_Library(ScoreCAM, subject.classifier), subject, pixels, classes)


def occlusion(subject: SaliencyModel, pixels: NDArray[np.uint8], classes: NDArray[np.int64]) -> Maps:
    """Places, each by how much the answer loses when they are blackened (Zeiler & Fergus 2014).

    Each pixel is the mean over the patches that cover it, of what the class loses in log-odds. The paper
    follows the probability; log-odds order patches alike, and still tell them apart where it is next to 1.
    """
    size, inner = subject.classifier.input_size, subject.normalise.centre_slice
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
        odds = _log_odds(subject.predict_logits(np.concatenate([slice_[None], hidden])), label)
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
    """The logit that is explained; of one sigmoid neuron, (0, z), each class's half of z."""

    label: int
    neuron: bool

    def __call__(self, logits: Tensor) -> Tensor:
        return logits[self.label] - logits.mean() if self.neuron else logits[self.label]


class _Library:
    """A method of pytorch-grad-cam at what the head pools: maps (n, h, w) from 0 to 1, ReLU taken."""

    def __init__(self, kind: type, classifier: Classifier) -> None:
        self.kind, self.classifier = kind, classifier
        self.neuron = bool(getattr(classifier.head, "sigmoid", False))

    def __call__(self, images: Tensor, labels: NDArray[np.int64]) -> Maps:
        targets = [_Target(label, self.neuron) for label in labels.tolist()]
        method = self.kind(self.classifier, [self.classifier.backbone])
        # So that it does not enlarge its maps: all methods' are enlarged alike, by us.
        method.get_target_width_height = lambda _images: None
        try:
            with redirect_stderr(io.StringIO()):  # its progress bars cannot be turned off
                return np.asarray(method(images.detach().requires_grad_(), targets), dtype=np.float32)
        finally:
            method.activations_and_grads.release()


def _of_views(
    cam: Callable[[Tensor, NDArray[np.int64]], Maps],
    subject: SaliencyModel,
    pixels: NDArray[np.uint8],
    classes: NDArray[np.int64],
) -> Maps:
    """Maps of the slices, averaged with those of their mirror images where the deployed model does that."""
    found = []
    for first in range(0, len(pixels), BATCH_SIZE):
        some = slice(first, first + BATCH_SIZE)
        images = subject.normalise(torch.from_numpy(np.ascontiguousarray(pixels[some])))
        maps = cam(images, classes[some])
        found.append(
            (maps + cam(images.flip(-1), classes[some])[:, :, ::-1]) / 2
            if subject.averages_mirror_image
            else maps
        )
    return np.concatenate(found)


def _log_odds(logits: NDArray[np.float32], label: int) -> NDArray[np.float64]:
    """log(p / (1 - p)) of a class, (n,)."""
    others = np.delete(logits.astype(np.float64), label, axis=1)
    return np.asarray(logits[:, label] - np.logaddexp.reduce(others, axis=1))
