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
from gliascope.models.classifier import Classifier
from gliascope.recipes import Recipe
from gliascope.training.test_time import Deployed

TOLERANCE = 1e-4
# The slope of a ReLU jumps: a neuron that is nearly 0 may count in one runtime and not in the other.
MAPS_TOLERANCE = 0.05


def export(
    classifier: Classifier, recipe: Recipe, classes: tuple[str, ...], licences: dict[str, str]
) -> Bundle:
    """Turn a trained classifier into a Bundle without metrics, checked against torch.

    Raises RunError where ONNX Runtime's logits, features or maps differ by more than its tolerance.
    """
    deployed = Deployed(classifier.cpu(), recipe).eval()
    pixels = torch.zeros(2, *recipe.preprocessing.shape, dtype=torch.uint8)
    model = to_onnx(deployed, pixels, "pixels", deployed.outputs)
    info = BundleInfo(
        recipe=recipe.name,
        classes=classes,
        preprocessing=recipe.preprocessing,
        tta=recipe.tta.model_dump(mode="json"),
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
        expected = deployed(torch.from_numpy(noise))
    outputs = Engine(bundle)(noise)
    found = {"logits": outputs.logits, "features": outputs.looks["features"], "maps": outputs.maps}
    for name, values in zip(deployed.outputs, expected, strict=True):
        difference = float(np.abs(found[name] - values.numpy()).max())
        tolerance = MAPS_TOLERANCE if name == "maps" else TOLERANCE
        if difference > tolerance * max(1.0, float(values.abs().max())):
            raise RunError(
                f"exported model's {name} differ from the trained one's by {difference:.2g}; "
                "please report this recipe"
            )
