"""Export a trained classifier to ONNX and check the exported model against it."""

import copy
import hashlib
import tempfile
from collections.abc import Sequence
from importlib import metadata
from operator import le
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gliascope.errors import RunError
from gliascope.export.tta import DeployedNetwork
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.inference.engine import Engine
from gliascope.models.classifier import Classifier
from gliascope.recipes import Recipe

TOLERANCE = 1e-4
# The derivative of ReLU jumps at 0, so a neuron that is nearly 0 may count in one runtime only.
MAPS_TOLERANCE = 0.05
ROUNDING_FACTOR = 10  # allowed distance from the float64 result, relative to that of torch in float32


def export_bundle(
    classifier: Classifier, recipe: Recipe, classes: tuple[str, ...], licences: dict[str, str]
) -> Bundle:
    """Export a trained classifier as a Bundle without evaluation.

    Parameters
    ----------
    classifier
        Moved to the CPU.
    recipe
        With the preprocessing and the test-time views.
    classes
        Class names in the order of the logits.
    licences
        Licences of weights and data, by what they apply to.

    Raises
    ------
    RunError
        If the exported model does not reproduce the classifier, see `check_export`.
    """
    deployed = DeployedNetwork(classifier.cpu(), recipe).eval()
    pixels = torch.zeros(2, *recipe.preprocessing.shape, dtype=torch.uint8)
    model = to_onnx(deployed, pixels, "pixels", deployed.outputs)
    info = BundleInfo(
        recipe=recipe.name,
        classes=classes,
        preprocessing=recipe.preprocessing,
        tta=recipe.tta.model_dump(mode="json"),
        activation_maps=classifier.head.has_activation_maps,
        parameters=sum(p.numel() for p in classifier.parameters()),
        model_sha256=hashlib.sha256(model).hexdigest(),
        versions={name: metadata.version(name) for name in ("gliascope", "torch", "timm", "onnx")},
        licences=licences,
    )
    bundle = Bundle(info, model)
    check_export(deployed, deployed.outputs, bundle)
    return bundle


def to_onnx(network: nn.Module, example: Tensor, name: str, outputs: list[str]) -> bytes:
    """Export a network in evaluation mode to ONNX with one input, whose first axis may have any length.

    Parameters
    ----------
    network
        Copied, not changed.
    example
        An input with two or more rows.
    name, outputs
        Names of the input and of the outputs.

    Returns
    -------
    bytes
        The content of an .onnx file.
    """
    network = copy.deepcopy(network)
    for module in network.modules():
        if getattr(module, "inplace", False):
            setattr(module, "inplace", False)  # the exporter is far slower with in-place activations  # noqa: B010
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


def check_export(network: nn.Module, outputs: Sequence[str], bundle: Bundle) -> None:
    """Compare a Bundle's ONNX model with the network that was exported, on three images of noise.

    Parameters
    ----------
    network
        The network in evaluation mode, which returns `outputs` in this order for stored pixels.
    outputs
        Those of "logits", "features" and "maps" that the network returns.
    bundle
        The exported model, which runs on ONNX Runtime.

    Raises
    ------
    RunError
        If logits, features or maps differ by more than rounding explains.
    """
    noise = np.random.default_rng(0).integers(0, 256, (3, *bundle.info.preprocessing.shape), dtype=np.uint8)
    predictions = Engine(bundle)(noise)
    found = (predictions.logits, predictions.ood_features["network"], predictions.maps)
    expected = _run(network, noise)
    off = _differences(found, expected)
    allowed = [MAPS_TOLERANCE if name == "maps" else TOLERANCE for name in outputs]
    if all(map(le, off, allowed)):
        return
    # Some networks magnify the rounding of float32, so both runtimes are compared with torch in float64.
    exact = _run(copy.deepcopy(network).double(), noise)
    off, own = _differences(found, exact), _differences(expected, exact)
    for name, difference, rounding, tolerance in zip(outputs, off, own, allowed, strict=True):
        if not difference <= max(tolerance, ROUNDING_FACTOR * rounding):  # written so that NaN fails
            raise RunError(
                f"exported model's {name} differ from the trained one's by {difference:.2g}, where rounding "
                f"explains {rounding:.2g}; please report this recipe"
            )


def _run(network: nn.Module, pixels: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
    with torch.inference_mode():
        return [values.numpy() for values in network(torch.from_numpy(pixels))]


def _differences(
    found: Sequence[NDArray[np.floating] | None], expected: Sequence[NDArray[np.floating]]
) -> list[float]:
    """Return the largest difference of each output, relative to its largest value if that is above 1."""
    return [
        float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
        for one, other in zip(found, expected, strict=False)
        if one is not None
    ]
