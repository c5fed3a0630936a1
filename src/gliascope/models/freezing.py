"""Which layers a stage freezes, and how much of that can run once."""

from dataclasses import dataclass

import torch
from torch import fx

from gliascope.errors import RecipeError
from gliascope.models.backbones import execution_order
from gliascope.models.classifier import Classifier
from gliascope.models.cut import find_cut_node, is_cut_point, nodes_up_to, trace


@dataclass(frozen=True, slots=True)
class FrozenLayers:
    """What a stage freezes."""

    cut: str | None
    """The last part that separates the network with only frozen layers before it, a name for `cut`."""
    modules: tuple[str, ...]
    """Names of the frozen layers in the classifier, in order of execution."""


def frozen_layers(classifier: Classifier, freeze: str | float | None) -> FrozenLayers:
    """What `Stage.freeze` means for this network.

    A name freezes everything up to and with that part. A fraction f freezes the first round(f × n) of the
    backbone's n layers in order of execution, as `execution_order` counts them; where that ends inside a
    block, the cut is before the block, and the layers between are frozen but run again each time.
    Where all of the backbone is frozen, so is the pooling after it: what is left of a map takes less room.
    Raises RecipeError for a part that does not exist or does not separate, a fraction outside [0, 1], or all
    there is.
    """
    if freeze is None:
        return FrozenLayers(None, ())
    size, device = classifier.input_size, next(classifier.parameters()).device
    layers = execution_order(classifier, torch.zeros(1, 3, size, size, device=device))
    backbone = [layer for layer in layers if f"{layer}.".startswith("backbone.")]
    if isinstance(freeze, str):
        tracer = trace(classifier)
        nodes = nodes_up_to(tracer.graph, find_cut_node(tracer, freeze))
        chosen = {layer for node in nodes for layer in _run_by(node, layers)}
    elif 0 <= freeze <= 1:
        chosen = set(backbone[: round(freeze * len(backbone))])
    else:
        raise RecipeError(f"freeze: expected a name, or a fraction between 0 and 1, but got {freeze:g}")
    if chosen.issuperset(backbone):
        chosen.add("head.pool")
    modules = tuple(name for name in layers if name in chosen)
    held = {p for name in modules for p in classifier.get_submodule(name).parameters()}
    if held.issuperset(classifier.parameters()):
        raise RecipeError(f"freeze: {freeze!r} freezes all there is, and nothing is left to train; name less")
    return FrozenLayers(_last_cut(classifier, layers, chosen), modules)


def _last_cut(classifier: Classifier, layers: tuple[str, ...], chosen: set[str]) -> str | None:
    try:
        tracer = trace(classifier)
    except RecipeError:  # such a backbone can be frozen, but not in part run once
        return None
    # Where several end at a node, the outermost names it, and of equals the first.
    inward = sorted(tracer.outputs, key=lambda name: name.count("."))
    names = {tracer.outputs[name]: name for name in reversed(inward)}
    candidates = []
    for node in tracer.graph.nodes:
        if not chosen.issuperset(_run_by(node, layers)):
            break
        if node in names:
            candidates.append(node)
    before = (names[node] for node in reversed(candidates) if is_cut_point(tracer.graph, node))
    return next(before, None)


def _run_by(node: fx.Node, layers: tuple[str, ...]) -> list[str]:
    """Layers that a node of the traced network runs, or whose parameters it reads."""
    target = str(node.target)
    if node.op == "call_module":
        return [layer for layer in layers if f"{layer}.".startswith(f"{target}.")]
    return [layer for layer in layers if layer == target.rpartition(".")[0]] if node.op == "get_attr" else []
