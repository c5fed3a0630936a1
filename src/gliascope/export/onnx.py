"""Run in, deployable model out: the only bridge from the half that learns to the half that runs."""

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
# The slope of a ReLU jumps: a neuron that is nearly 0 may count in one runtime and not in the other.
MAPS_TOLERANCE = 0.05
ROUNDING_FACTOR = 10  # times as far from the exact answer as torch is


def export_bundle(
    classifier: Classifier, recipe: Recipe, classes: tuple[str, ...], licences: dict[str, str]
) -> Bundle:
    """Turn a trained classifier into a Bundle without metrics. Raises RunError as `check` does."""
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


def check_export(network: nn.Module, outputs: Sequence[str], bundle: Bundle) -> None:
    """Compare a Bundle's graph with the network that it was made of, on three pictures of noise.

    Parameters
    ----------
    network
        In evaluation mode; what `Bundle.model` is given, to `outputs` in this order.
    outputs
        Of "logits", "features" and "maps" those that the network returns.
    bundle
        Its graph runs on ONNX Runtime.

    Raises
    ------
    RunError
        Where logits, features or maps differ by more than rounding explains.
    """
    noise = np.random.default_rng(0).integers(0, 256, (3, *bundle.info.preprocessing.shape), dtype=np.uint8)
    answers = Engine(bundle)(noise)
    found = (answers.logits, answers.ood_features["network"], answers.maps)
    expected = _answers(network, noise)
    off = _differences(found, expected)
    allowed = [MAPS_TOLERANCE if name == "maps" else TOLERANCE for name in outputs]
    if all(map(le, off, allowed)):
        return
    # Some networks magnify float32's rounding: no runtime can be nearer than the exact answer lets torch be.
    exact = _answers(copy.deepcopy(network).double(), noise)
    off, own = _differences(found, exact), _differences(expected, exact)
    for name, difference, rounding, tolerance in zip(outputs, off, own, allowed, strict=True):
        if not difference <= max(tolerance, ROUNDING_FACTOR * rounding):  # it may be no number
            raise RunError(
                f"exported model's {name} differ from the trained one's by {difference:.2g}, where rounding "
                f"explains {rounding:.2g}; please report this recipe"
            )


def _answers(network: nn.Module, pixels: NDArray[np.uint8]) -> list[NDArray[np.floating]]:
    with torch.inference_mode():
        return [values.numpy() for values in network(torch.from_numpy(pixels))]


def _differences(
    found: Sequence[NDArray[np.floating] | None], expected: Sequence[NDArray[np.floating]]
) -> list[float]:
    """The largest of each output, as a share of its largest value where that is above 1."""
    return [
        float(np.abs(one - other).max() / max(1.0, np.abs(other).max()))
        for one, other in zip(found, expected, strict=False)
        if one is not None
    ]
