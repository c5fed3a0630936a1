"""Find the layers that a stage freezes, and the part of them whose output can be cached."""

from dataclasses import dataclass

import torch
from torch import fx

from gliascope.errors import RecipeError
from gliascope.models.backbones import execution_order
from gliascope.models.classifier import Classifier
from gliascope.models.cut import find_cut_node, is_cut_point, nodes_up_to, trace


@dataclass(frozen=True, slots=True)
class FrozenLayers:
    """The layers that a stage freezes."""

    cut: str | None
    """The last module at which the network can be cut with only frozen layers before it; None: nowhere."""
    modules: tuple[str, ...]
    """Names of the frozen layers in the classifier, in order of execution."""


def frozen_layers(classifier: Classifier, freeze: str | float | None) -> FrozenLayers:
    """Return the layers that `Stage.freeze` freezes in this network.

    If the whole backbone is frozen, the pooling after it is frozen, too, because pooled features take less
    memory than feature maps.

    Parameters
    ----------
    classifier
        The network.
    freeze
        A module's name freezes everything up to and including it. A fraction f freezes the first round(f × n)
        of the backbone's n layers, as `execution_order` counts them. If these end inside a block, the cut is
        before the block, and its frozen layers run again each time. None freezes nothing.

    Raises
    ------
    RecipeError
        If the module does not exist, the network cannot be cut there, the fraction is outside [0, 1], or
        nothing would be left to train.
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
        raise RecipeError(
            f"freeze: {freeze!r} freezes every layer, and nothing is left to train; freeze fewer"
        )
    return FrozenLayers(_last_cut(classifier, layers, chosen), modules)


def _last_cut(classifier: Classifier, layers: tuple[str, ...], chosen: set[str]) -> str | None:
    try:
        tracer = trace(classifier)
    except RecipeError:  # such a backbone can be frozen, but its output cannot be cached
        return None
    # Several modules may end at a node: the outermost names it, and the first of these.
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
    """Return the layers that a node of the traced network runs, or whose parameters it reads."""
    target = str(node.target)
    if node.op == "call_module":
        return [layer for layer in layers if f"{layer}.".startswith(f"{target}.")]
    return [layer for layer in layers if layer == target.rpartition(".")[0]] if node.op == "get_attr" else []
