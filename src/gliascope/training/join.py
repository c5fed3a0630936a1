"""Bundles in, one Bundle out: their graphs side by side on the same slices, and the mean of what they say."""

import hashlib
import math
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import onnx
import onnx_ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx_ir.passes import Sequential, common

from gliascope.errors import BundleError
from gliascope.inference.bundle import Bundle, BundleInfo
from gliascope.inference.engine import Engine, Outputs
from gliascope.training.export import TOLERANCE

Average = Literal["probabilities", "logits"]


def join(name: str, bundles: Sequence[Bundle], average: Average = "probabilities") -> Bundle:
    """One Bundle that answers as all of them together, checked against them.

    `average` says of what the answer is the mean (Lakshminarayanan et al., Deep Ensembles, 2017: of
    probabilities). What members have in common, such as a frozen part, is stored and computed once. Features
    stand side by side, (n, sum of theirs); class activation maps are the mean, where all members have maps of
    one shape. Raises BundleError where members differ in classes or in the picture that they are given.
    """
    for other in bundles[1:]:
        _check_alike(bundles[0].info, other.info)
    graph, outputs = _join([onnx.load_from_string(bundle.model) for bundle in bundles], average)
    model = onnx_ir.to_proto(_shared(onnx_ir.from_proto(graph))).SerializeToString()
    joined = Bundle(_info(name, bundles, model, "maps" in outputs), model)
    _check(joined, bundles, average)
    return joined


def _check_alike(first: BundleInfo, other: BundleInfo) -> None:
    both = f"{first.recipe} and {other.recipe}"
    if first.classes != other.classes:
        raise BundleError(
            f"{both} name different classes: {', '.join(first.classes)} but {', '.join(other.classes)}; "
            "join models of one task"
        )
    pictures = [_picture(info) for info in (first, other)]
    different = [f"{key} ({pictures[0][key]}, {pictures[1][key]})" for key in pictures[0]
                 if pictures[0][key] != pictures[1][key]]  # fmt: skip
    if different:
        raise BundleError(
            f"{both} are given different pictures: {', '.join(different)}; one graph takes one picture, so "
            "train them with equal preprocessing (mean and std may differ)"
        )


def _picture(info: BundleInfo) -> dict[str, Any]:
    """What a graph is given and sees; mean and std are within it."""
    return info.preprocessing.model_dump(exclude={"mean", "std"})


def _join(models: Sequence[onnx.ModelProto], average: Average) -> tuple[onnx.ModelProto, list[str]]:
    """All graphs on one input, and the names of what is made of their outputs."""
    versions = [{entry.domain: entry.version for entry in model.opset_import} for model in models]
    if any(version != versions[0] for version in versions) or any(model.functions for model in models):
        raise BundleError(
            f"members were exported by different versions of torch or ONNX (operator sets {versions}); "
            "train them with one"
        )
    parts = [
        onnx.compose.add_prefix(model, f"{number}/", rename_inputs=False).graph
        for number, model in enumerate(models)
    ]
    found = [{output.name for output in model.graph.output} for model in models]
    shapes = {str(_shape(model, "maps")) for model in models}
    outputs = ["logits", "features"]
    if all("maps" in names for names in found) and len(shapes) == 1:
        outputs.append("maps")
    nodes = [node for part in parts for node in part.node]
    initializers = [tensor for part in parts for tensor in part.initializer]
    logits, features, maps = (
        [f"{n}/{what}" for n in range(len(models))] for what in ("logits", "features", "maps")
    )
    made, constants = _mean_of(logits, average)
    nodes += made
    nodes.append(helper.make_node("Concat", features, ["features"], axis=1))
    if "maps" in outputs:
        nodes.append(helper.make_node("Mean", maps, ["maps"]))
    graph = helper.make_graph(
        nodes,
        "ensemble",
        models[0].graph.input,
        [_output(models, name) for name in outputs],
        [*initializers, *constants],
    )
    model = helper.make_model(
        graph, opset_imports=models[0].opset_import, ir_version=max(model.ir_version for model in models)
    )
    return model, outputs


def _mean_of(logits: Sequence[str], average: Average) -> tuple[list[Any], list[Any]]:
    """Nodes and constants that make `logits` of the members'."""
    if average == "logits":
        return [helper.make_node("Mean", logits, ["logits"])], []
    # Not the logarithm of a mean: what one member rules out would become -inf by rounding.
    logs = [f"{name}/log" for name in logits]
    apart = [f"{name}/apart" for name in logits]
    nodes = [
        helper.make_node("LogSoftmax", [name], [log], axis=1) for name, log in zip(logits, logs, strict=True)
    ]
    nodes += [
        helper.make_node("Unsqueeze", [log, "first"], [one]) for log, one in zip(logs, apart, strict=True)
    ]
    nodes += [
        helper.make_node("Concat", apart, ["stacked"], axis=0),
        helper.make_node("ReduceLogSumExp", ["stacked", "first"], ["summed"], keepdims=0),
        helper.make_node("Sub", ["summed", "log of members"], ["logits"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([0], dtype=np.int64), "first"),
        numpy_helper.from_array(np.array(math.log(len(logits)), dtype=np.float32), "log of members"),
    ]
    return nodes, constants


def _shape(model: onnx.ModelProto, name: str) -> list[int]:
    """Lengths of an output's axes, 0 where any will do; empty where there is no such output."""
    output = next((output for output in model.graph.output if output.name == name), None)
    return [] if output is None else [axis.dim_value for axis in output.type.tensor_type.shape.dim]


def _output(models: Sequence[onnx.ModelProto], name: str) -> onnx.ValueInfoProto:
    shape: list[int | str] = list(_shape(models[0], name))
    shape[0] = "slices"
    if name == "features":
        shape[1] = sum(_shape(model, name)[1] for model in models)
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _shared(model: onnx_ir.Model) -> onnx_ir.Model:
    """The same graph, equal weights stored once and equal steps taken once."""
    passes = Sequential(
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateHashedInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
    )
    result: onnx_ir.Model = passes(model).model
    return result


def _info(name: str, bundles: Sequence[Bundle], model: bytes, maps: bool) -> BundleInfo:
    infos = [bundle.info for bundle in bundles]
    first = infos[0]
    # Each member's mean and std are in the graph; where they differ, none is the ensemble's.
    inner = {
        key: getattr(first.preprocessing, key)
        if len({getattr(info.preprocessing, key) for info in infos}) == 1
        else None
        for key in ("mean", "std")
    }
    views = [view for info in infos for view in info.tta.get("views", ())]
    return BundleInfo(
        recipe=name,
        classes=first.classes,
        preprocessing=first.preprocessing.model_copy(update=inner),
        tta=first.tta | {"views": [view for n, view in enumerate(views) if view not in views[:n]]},
        activation_maps=maps,
        parameters=sum(info.parameters for info in infos),
        model_sha256=hashlib.sha256(model).hexdigest(),
        versions=_merged([info.versions for info in infos]),
        licences=_merged([info.licences for info in infos]),
    )


def _merged(facts: Sequence[dict[str, str]]) -> dict[str, str]:
    """Each fact once, or as many times as members differ in it."""
    keys = dict.fromkeys(key for one in facts for key in one)
    return {key: ", ".join(dict.fromkeys(one[key] for one in facts if key in one)) for key in keys}


def _check(joined: Bundle, bundles: Sequence[Bundle], average: Average) -> None:
    """Raise BundleError where the joint graph says something else than its members' mean."""
    noise = np.random.default_rng(0).integers(0, 256, (3, *joined.info.preprocessing.shape), dtype=np.uint8)
    expected = mean_logits([Engine(bundle)(noise) for bundle in bundles], average)
    difference = float(np.abs(Engine(joined)(noise).logits - expected).max())
    if difference > TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise BundleError(
            f"the joint model differs from the mean of its members by {difference:.2g}; please report this"
        )


def mean_logits(members: Sequence[Outputs], average: Average) -> NDArray[np.float64]:
    """What the joint graph computes, (n, classes), in NumPy."""
    logits = np.stack([outputs.logits for outputs in members]).astype(np.float64)
    if average == "logits":
        return np.asarray(logits.mean(axis=0))
    logs = logits - np.logaddexp.reduce(logits, axis=2, keepdims=True)
    return np.asarray(np.logaddexp.reduce(logs, axis=0) - math.log(len(members)))
