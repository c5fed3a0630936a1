"""Trained Runs in, one Bundle out: the members side by side in one network, which is exported once."""

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

from gliascope.export.onnx import check, to_onnx
from gliascope.export.tta import DeployedNetwork, average_views
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.preprocessing.preprocess import FILTERS, Preprocessing
from gliascope.recipes.run import Run
from gliascope.training.checkpoints import load_classifier

Average = Literal["probabilities", "logits"]

_LUMA = (0.299, 0.587, 0.114)  # as `data.preprocess.to_grey`


class MemberInput(nn.Module):
    """Makes a member's picture, by size and colour, of the one that the ensemble is given.

    Pillow's own weights make it smaller, so that a network sees what it was trained on, but for Pillow's
    rounding to whole grey levels.

    Parameters
    ----------
    given
        Preprocessing of the ensemble: of a size and channels that are at least the member's.
    wanted
        Preprocessing of the member.
    """

    weights: Tensor
    luma: Tensor

    def __init__(self, given: Preprocessing, wanted: Preprocessing) -> None:
        super().__init__()
        self.to_grey = given.channels != wanted.channels
        self.resize = given.size != wanted.size
        # Resizing is linear: what becomes of the unit vectors are its weights, (wanted.size, given.size).
        columns = Image.fromarray(np.eye(given.size, dtype=np.float32))
        weights = np.array(columns.resize((given.size, wanted.size), FILTERS[wanted.filter]))
        self.register_buffer("weights", torch.from_numpy(weights), persistent=False)
        self.register_buffer("luma", torch.tensor(_LUMA), persistent=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """uint8 (n, size, size[, 3]) to float32 in [0, 255] of the member's `Preprocessing.shape`."""
        images = pixels.to(self.weights.dtype)
        if self.to_grey:
            images = images @ self.luma
        if not self.resize:
            return images
        # Channels, if there are any, are put before the rows and columns and back.
        images = images.movedim(-1, 1) if images.ndim == 4 else images
        images = (self.weights @ images @ self.weights.T).clamp(0, 255)
        return images.movedim(1, -1) if images.ndim == 4 else images


class EnsembleNetwork(nn.Module):
    """All members on one picture, and the mean of their answers.

    Parameters
    ----------
    members
        Networks of equal classes, in evaluation mode.
    given
        Preprocessing of the pictures that the ensemble is given: `joint_preprocessing` of the members'.
    of
        What the answer is the mean of: the members' probabilities or their logits.
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
        """Answer for pictures as they are stored.

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
        answers = [member(shown(pixels)) for member, shown in zip(self.members, self.inputs, strict=True)]
        logits, features, *maps = zip(*answers, strict=False)
        joint = [average_views(torch.stack(logits), self.average), torch.cat(features, dim=1)]
        if "maps" in self.outputs:
            joint.append(torch.stack(maps[0]).mean(0))
        return tuple(joint)


def export_ensemble(
    name: str, runs: Sequence[Run], preprocessing: Preprocessing, average: Average = "probabilities"
) -> Bundle:
    """One Bundle that answers as all runs together; they are rebuilt from their weights.

    Parameters
    ----------
    name
        What the Bundle calls its recipe.
    runs
        Finished runs of equal classes.
    preprocessing
        What the ensemble is given: `joint_preprocessing` of the runs'.
    average
        What the answer is the mean of: Lakshminarayanan et al. (Deep Ensembles, 2017) take probabilities.

    Raises
    ------
    RunError
        Where a run's weights are missing, or a network that is rebuilt or exported says something else than
        before.
    """
    bundles = [Bundle.load(one.model) for one in runs]
    members = [DeployedNetwork(load_classifier(one), one.recipe).eval() for one in runs]
    for member, bundle in zip(members, bundles, strict=True):
        # The weights alone do not make the network: another version of timm may build it differently.
        check(member, member.outputs, bundle)
    joint = EnsembleNetwork(members, preprocessing, average).eval()
    pixels = torch.zeros(2, *preprocessing.shape, dtype=torch.uint8)
    model = _shared(to_onnx(joint, pixels, "pixels", joint.outputs))
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
    joined = Bundle(info, model)
    check(joint, joint.outputs, joined)
    return joined


def _shared(model: bytes) -> bytes:
    """The same graph, equal weights stored once and equal steps taken once.

    The exporter itself does so for small weights only, since equal large ones are seldom met elsewhere.
    """
    passes = Sequential(
        common.DeduplicateHashedInitializersPass(), common.CommonSubexpressionEliminationPass()
    )
    graph = onnx_ir.from_proto(onnx.load_from_string(model))
    content: bytes = onnx_ir.to_proto(passes(graph).model).SerializeToString()
    return content


def _have_mean_map(members: Sequence[DeployedNetwork]) -> bool:
    """Whether all members have class activation maps, of one shape and of the same square of a picture."""
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
    """Each fact once; where members differ in it, all their values in one string."""
    result = {}
    for key in dict.fromkeys(key for one in facts for key in one):
        values = list(dict.fromkeys(one[key] for one in facts if key in one))
        result[key] = values[0] if len(values) == 1 else ", ".join(map(str, values))
    return result
