"""Export an ensemble: the networks of several runs side by side in one network, as one Bundle."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir
import torch
from onnx_ir.passes import Sequential, common
from PIL import Image
from torch import Tensor, nn

from gliascope.export.onnx import check_export, to_onnx
from gliascope.export.tta import DeployedNetwork, average_views
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.models.weight_files import load_classifier
from gliascope.preprocessing.preprocess import FILTERS, Preprocessing
from gliascope.recipes.run import Run

Average = Literal["probabilities", "logits"]

_LUMA = (0.299, 0.587, 0.114)  # as in `preprocessing.preprocess.to_grey`


class MemberInput(nn.Module):
    """Converts the ensemble's input to the size and colours of one member's input.

    Resizing uses Pillow's own weights, so that each network sees what it was trained on, up to Pillow's
    rounding to whole grey levels.

    Parameters
    ----------
    given
        Preprocessing of the ensemble, whose size and channels are at least the member's.
    wanted
        Preprocessing of the member.
    """

    weights: Tensor
    luma: Tensor

    def __init__(self, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        self.to_grey = given.channels != wanted.channels
        self.resize = given.size != wanted.size
        # Resizing is linear, so resizing the unit vectors gives its weights, (wanted.size, given.size).
        columns = Image.fromarray(np.eye(given.size, dtype=np.float32))
        weights = np.array(columns.resize((given.size, wanted.size), FILTERS[wanted.filter]))
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        self.register_buffer("luma", torch.tensor(_LUMA), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Convert uint8 (n, size, size[, 3]) to float32 in [0, 255], of the member's size and channels."""
        images = pixels.to(self.weights.dtype)
        if self.to_grey:
            images = images @ self.luma
        if not self.resize:
            return images
        # Matrix products need rows and columns last, so channels, if there are any, are moved before them.
        images = images.movedim(-1, 1) if images.ndim == 4 else images
        images = (self.weights @ images @ self.weights.T).clamp(0, 255)
        return images.movedim(1, -1) if images.ndim == 4 else images


class EnsembleNetwork(nn.Module):
    """The members of an ensemble on the same pictures, and the mean of their outputs.

    Parameters
    ----------
    members
        Networks of equal classes, in evaluation mode.
    preprocessing
        Preprocessing of the ensemble's input: `joint_preprocessing` of the members'.
    average
        Whether the members' probabilities or their logits are averaged.
    """

    def __init__(
        self, members: Sequence[DeployedNetwork], preprocessing: Preprocessing, average: Average
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.inputs = nn.ModuleList(MemberInput(preprocessing, member.preprocessing) for member in members)
        self.average: Average = average
        self.outputs = ["logits", "features", *(["maps"] if _have_mean_map(members) else [])]

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Run all members on preprocessed slices.

        Parameters
        ----------
        pixels
            uint8 (n, size, size) or (n, size, size, 3).

        Returns
        -------
        tuple of Tensor
            Logits, (n, classes): the mean of the members' logits, or the logarithm of the mean of their
            probabilities. Features of all members side by side, (n, sum of theirs). Where `outputs` names
            them, mean class activation maps, (n, classes, height, width).
        """
        outputs = [member(convert(pixels)) for member, convert in zip(self.members, self.inputs, strict=True)]
        logits, features, *maps = zip(*outputs, strict=False)
        joint = [average_views(torch.stack(logits), self.average), torch.cat(features, dim=1)]
        if "maps" in self.outputs:
            joint.append(torch.stack(maps[0]).mean(0))
        return tuple(joint)


def export_ensemble(
    name: str, runs: Sequence[Run], preprocessing: Preprocessing, average: Average = "probabilities"
) -> Bundle:
    """Export several runs as one Bundle, which averages their outputs.

    Parameters
    ----------
    name
        Name of the recipe in the Bundle.
    runs
        Finished runs of equal classes.
    preprocessing
        Preprocessing of the ensemble's input: `joint_preprocessing` of the runs'.
    average
        Whether the runs' probabilities or their logits are averaged; Deep Ensembles average probabilities.

    Raises
    ------
    RunError
        Where a run's weights are missing, or a network computes something else after it is rebuilt from its
        weights, or exported, than before.

    References
    ----------
    Lakshminarayanan et al., Deep Ensembles, NeurIPS 2017.
    """
    bundles = [Bundle.load(run.model) for run in runs]
    members = [DeployedNetwork(load_classifier(run), run.recipe).eval() for run in runs]
    for member, bundle in zip(members, bundles, strict=True):
        # Another version of timm may build a different network from the same recipe and weights.
        check_export(member, member.outputs, bundle)
    joint = EnsembleNetwork(members, preprocessing, average).eval()
    pixels = torch.zeros(2, *preprocessing.shape, dtype=torch.uint8)
    model = _deduplicate(to_onnx(joint, pixels, "pixels", joint.outputs))
    infos = [bundle.info for bundle in bundles]
    views = [view for info in infos for view in info.tta["views"]]
    info = BundleInfo(
        recipe=name,
        classes=infos[0].classes,
        preprocessing=preprocessing,
        tta=infos[0].tta | {"views": [view for n, view in enumerate(views) if view not in views[:n]]},
        activation_maps="maps" in joint.outputs,
        parameters=sum(info.parameters for info in infos),
        model_sha256=hashlib.sha256(model).hexdigest(),
        versions=merge_facts([info.versions for info in infos]),
        licences=merge_facts([info.licences for info in infos]),
    )
    bundle = Bundle(info, model)
    check_export(joint, joint.outputs, bundle)
    return bundle


def _deduplicate(model: bytes) -> bytes:
    """Rewrite a graph so that equal weights are stored once and equal steps are computed once.

    The exporter itself does so only for small weights.
    """
    passes = Sequential(
        common.DeduplicateHashedInitializersPass(), common.CommonSubexpressionEliminationPass()
    )
    graph = onnx_ir.from_proto(onnx.load_from_string(model))
    content: bytes = onnx_ir.to_proto(passes(graph).model).SerializeToString()
    return content


def _have_mean_map(members: Sequence[DeployedNetwork]) -> bool:
    """Whether all members have class activation maps, of one shape and of the same part of the picture."""
    if not all("maps" in member.outputs for member in members):
        return False
    prepared = [member.preprocessing for member in members]
    with torch.inference_mode():
        shapes = {
            member(torch.zeros(1, *one.shape, dtype=torch.uint8))[2].shape
            for member, one in zip(members, prepared, strict=True)
        }
    return len(shapes) == len({one.input_size / one.size for one in prepared}) == 1


def merge_facts(facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge the members' facts key by key; values that differ are joined into one string."""
    result = {}
    for key in dict.fromkeys(key for one in facts for key in one):
        values = list(dict.fromkeys(one[key] for one in facts if key in one))
        result[key] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return result
