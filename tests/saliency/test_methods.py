import numpy as np
import pytest
import torch
from torch import nn

from gliascope.errors import GliascopeError
from gliascope.models.classifier import Classifier, Normalise
from gliascope.models.heads import ClassifierHead, create_head
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import Head
from gliascope.saliency.methods import METHODS, SaliencyModel, describe_method, saliency_maps

SIZE = 48
PREPROCESSING = Preprocessing(size=SIZE, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
HEADS = {
    "linear": Head(),
    "max": Head(pooling="max"),
    "dense": Head(pooling="dual", hidden=(6,), batch_norm=True, dropout=(0.1, 0.1), activation="swish"),
    "neuron": Head(hidden=(5,), dropout=(0.0, 0.0), sigmoid=True),
}


def subject_of(
    classifier: Classifier, mirrored: bool, preprocessing: Preprocessing = PREPROCESSING
) -> SaliencyModel:
    normalise = Normalise(preprocessing)

    def logits(pixels: np.ndarray) -> np.ndarray:
        images = normalise(torch.from_numpy(pixels))
        with torch.no_grad():
            views = [classifier(images), classifier(images.flip(-1))] if mirrored else [classifier(images)]
        return torch.stack(views).mean(0).numpy()

    return SaliencyModel(classifier.eval(), normalise, mirrored, logits)


def subject(head: str = "linear", mirrored: bool = True) -> SaliencyModel:
    torch.manual_seed(0)
    backbone = nn.Sequential(nn.Conv2d(3, 8, 8, stride=8), nn.ReLU())
    built = create_head(HEADS[head], 8, 2 if head == "neuron" else 3)
    return subject_of(Classifier(backbone, built, SIZE), mirrored)


class _Spot(nn.Module):
    """Two channels: brightness of each 8×8 square, and how dark it is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        bright = nn.functional.avg_pool2d(images[:, :1], 8)
        return torch.cat([bright, 1 - bright], dim=1)


def looks_for_brightness(preprocessing: Preprocessing = PREPROCESSING) -> SaliencyModel:
    """Class 0 is brightness, class 1 darkness; the place of each is known."""
    classifier = Classifier(_Spot(), create_head(Head(), 2, 2), preprocessing.input_size)
    with torch.no_grad():
        classifier.head.linear.weight.copy_(torch.eye(2) * 10)
    return subject_of(classifier, mirrored=True, preprocessing=preprocessing)


def pictures(n: int = 3, side: int = SIZE) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, side, side), dtype=np.uint8)


LABELS = np.array([1, 0, 1])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", METHODS)
def test_contract_every_method_maps_every_slice(name: str, head: str) -> None:
    """And leaves the network as it was: in evaluation mode, with no hook and no gradient."""
    one = subject(head)
    before = {key: value.clone() for key, value in one.classifier.state_dict().items()}
    maps = saliency_maps(name, one, pictures(), LABELS)
    assert maps.shape[0] == 3 and maps.ndim == 3 and maps.shape[1] == maps.shape[2]
    assert maps.dtype == np.float32 and np.isfinite(maps).all()
    again = saliency_maps(name, one, pictures(), LABELS)
    assert np.array_equal(maps, again)
    alone = saliency_maps(name, one, pictures()[1:2], LABELS[1:2])
    assert np.allclose(maps[1], alone[0], atol=1e-4 * max(1, np.abs(maps).max()))
    assert not np.allclose(maps[0], saliency_maps(name, one, pictures()[:1], 1 - LABELS[:1])[0])
    assert all(torch.equal(value, before[key]) for key, value in one.classifier.state_dict().items())
    assert not one.classifier.training
    assert not any(module._forward_hooks for module in one.classifier.modules())


@pytest.mark.parametrize("name", METHODS)
def test_maps_of_a_mirrored_slice_are_mirrored(name: str) -> None:
    one = subject("dense")
    maps = saliency_maps(name, one, pictures(), LABELS)
    mirrored = saliency_maps(name, one, pictures()[:, :, ::-1].copy(), LABELS)
    assert np.allclose(maps, mirrored[:, :, ::-1], atol=1e-4 * max(1, np.abs(maps).max()))


# Not Score-CAM: it weighs channels by a softmax, so that none weighs nothing.
@pytest.mark.parametrize("name", ["grad_cam", "hires_cam", "occlusion"])
def test_the_peak_lies_where_the_answer_comes_from(name: str) -> None:
    pixels = np.zeros((2, SIZE, SIZE), dtype=np.uint8)
    pixels[0, 8:16, 32:40] = 250
    pixels[1, 40:48, 0:8] = 250
    maps = saliency_maps(name, looks_for_brightness(), pixels, np.array([0, 0]))
    cell = SIZE // maps.shape[1]
    for one, (row, column) in zip(maps, ((8, 32), (40, 0)), strict=True):
        peak = np.array(np.unravel_index(one.argmax(), one.shape)) * cell
        assert row <= peak[0] < row + 8 and column <= peak[1] < column + 8


@pytest.mark.parametrize("head", HEADS)
def test_grad_cam_is_that_of_the_library(head: str) -> None:
    from pytorch_grad_cam import GradCAM

    from gliascope.saliency import methods

    one = subject(head, mirrored=False)
    images = one.normalise(torch.from_numpy(pictures()))
    expected = methods._Library(GradCAM, one.classifier)(images, LABELS)
    found = np.maximum(saliency_maps("grad_cam", one, pictures(), LABELS), 0)
    found -= found.min(axis=(1, 2), keepdims=True)
    found /= 1e-7 + found.max(axis=(1, 2), keepdims=True)
    assert np.allclose(found, expected, atol=1e-4)


def test_hires_cam_is_grad_cam_with_average_pooling_and_no_dense_layer_only() -> None:
    for head, same in (("linear", True), ("max", False), ("dense", False)):
        one = subject(head, mirrored=False)
        grad, hires = (saliency_maps(name, one, pictures(), LABELS) for name in ("grad_cam", "hires_cam"))
        grad = np.maximum(grad, 0)
        grad = (grad - grad.min((1, 2), keepdims=True)) / (1e-7 + np.ptp(grad, axis=(1, 2), keepdims=True))
        assert np.allclose(grad, hires, atol=1e-4) == same


def test_occlusion_covers_what_the_network_sees() -> None:
    """A bright place beyond the central square changes nothing."""
    cut = Preprocessing(size=SIZE + 16, centre=SIZE, mean=(0.0,) * 3, std=(1.0,) * 3)
    pixels = np.full((1, SIZE + 16, SIZE + 16), 30, dtype=np.uint8)
    pixels[0, 16:24, 24:32] = 250
    pixels[0, :8] = 255
    (found,) = saliency_maps("occlusion", looks_for_brightness(cut), pixels, np.array([0]))
    row, column = np.unravel_index(found.argmax(), found.shape)
    assert found.shape == (SIZE, SIZE)
    assert 8 <= row < 16 and 16 <= column < 24


def test_occlusion_is_what_the_class_loses_in_log_odds() -> None:
    one = looks_for_brightness()
    pixels = np.full((1, SIZE, SIZE), 100, dtype=np.uint8)
    (found,) = saliency_maps("occlusion", one, pixels, np.array([0]))
    # Evenly bright: every patch takes the same, (10 / 48²) · patch² · 100 / 255 from one logit, and gives
    # as much to the other.
    patch = round(SIZE / 5)
    assert np.allclose(found, 2 * 10 * patch**2 / SIZE**2 * 100 / 255, rtol=1e-3)


def test_unknown_methods_list_the_choices() -> None:
    with pytest.raises(
        GliascopeError, match="unknown method 'lime'; choose from grad_cam, hires_cam, occlusion"
    ):
        describe_method("lime")
    assert describe_method("grad_cam").endswith("(Selvaraju et al. 2017).")


def test_a_head_without_maps_says_so() -> None:
    class Flat(ClassifierHead):
        classes = 2

        def features(self, maps: torch.Tensor) -> torch.Tensor:
            return maps.amax((2, 3))

        def logits(self, features: torch.Tensor) -> torch.Tensor:
            return features[:, :2]

    flat = subject_of(Classifier(nn.Conv2d(3, 8, 8, stride=8), Flat(), SIZE), mirrored=False)
    with pytest.raises(GliascopeError, match="no Grad-CAM in closed form; choose other --methods"):
        saliency_maps("grad_cam", flat, pictures(), LABELS)
    assert saliency_maps("hires_cam", flat, pictures(), LABELS).shape == (3, 6, 6)
