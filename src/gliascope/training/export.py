"""Run in, deployable model out: the only bridge from the half that learns to the half that runs."""

import copy
import hashlib
import tempfile
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.inference.engine import Engine
from gliascope.models.classifier import Classifier, Normalise
from gliascope.recipes import Recipe

TOLERANCE = 1e-4


class Deployed(nn.Module):
    """uint8 pixels (n, size, size[, 3]) to logits, features and, if the head has them, activation maps.

    With flip averaging the graph runs each slice and its mirror image in one batch.
    """

    def __init__(self, classifier: Classifier, recipe: Recipe) -> None:
        super().__init__()
        self.normalise = Normalise(recipe.preprocessing)
        self.classifier = classifier
        self.flip = recipe.tta == "flip"

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns."""
        return ["logits", "features", *(["maps"] if self.classifier.head.has_maps else [])]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Mean over the views of logits (n, classes), features (n, f) and any maps (n, classes, h, w)."""
        images = self.normalise(pixels)
        if self.flip:
            images = torch.cat([images, images.flip(-1)])
        head = self.classifier.head
        feature_maps = self.classifier.backbone(images)
        features = head.features(feature_maps)
        results = [head.logits(features), features]
        if head.has_maps:
            results.append(head.activation_maps(feature_maps))
        return tuple(self._merge(result, pixels.shape[0]) for result in results)

    def _merge(self, result: Tensor, n: int) -> Tensor:
        if not self.flip:
            return result
        mirrored = result[n:]
        return (result[:n] + (mirrored.flip(-1) if result.ndim == 4 else mirrored)) / 2


def export(
    classifier: Classifier, recipe: Recipe, classes: tuple[str, ...], licences: dict[str, str]
) -> Bundle:
    """Turn a trained classifier into a Bundle without metrics, checked against torch.

    Raises RunError where ONNX Runtime's logits differ by more than TOLERANCE.
    """
    deployed = Deployed(classifier.cpu(), recipe).eval()
    pixels = torch.zeros(2, *recipe.preprocessing.shape, dtype=torch.uint8)
    model = to_onnx(deployed, pixels, "pixels", deployed.outputs)
    info = BundleInfo(
        recipe=recipe.name,
        classes=classes,
        preprocessing=recipe.preprocessing,
        tta=recipe.tta,
        activation_maps=classifier.head.has_maps,
        parameters=sum(p.numel() for p in classifier.parameters()),
        model_sha256=hashlib.sha256(model).hexdigest(),
        versions={name: metadata.version(name) for name in ("gliascope", "torch", "timm", "onnx")},
        licences=licences,
    )
    bundle = Bundle(info, model)
    _check(deployed, bundle)
    return bundle


def to_onnx(network: nn.Module, example: Tensor, name: str, outputs: list[str]) -> bytes:
    """A network in evaluation mode as an ONNX graph of one input, whose first axis may have any length."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # in-place activations take the exporter far longer  # noqa: B010
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=[name],
            output_names=outputs,
            dynamic_shapes=({0: torch.export.Dim("slices")},),
            external_data=False,
            verbose=False,
            dynamo=True,
        )
        return path.read_bytes()


def _check(deployed: Deployed, bundle: Bundle) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (3, *bundle.info.preprocessing.shape), dtype=np.uint8)
    with torch.inference_mode():
        expected = deployed(torch.from_numpy(noise))[0].numpy()
    difference = float(np.abs(Engine(bundle)(noise).logits - expected).max())
    if difference > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise RunError(
            f"exported model differs from the trained one by {difference:.2g}; please report this recipe"
        )
