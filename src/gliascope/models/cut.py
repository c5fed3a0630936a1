"""Split a network in two at a named module, so that a frozen first half runs only once per image."""

from typing import Any

from torch import fx, nn

from gliascope.errors import RecipeError


class Tracer(fx.Tracer):
    """A torch.fx tracer that records the output node of each named module.

    Layers of timm and torchvision are not traced through, so they keep their training and evaluation modes.
    """

    def __init__(self) -> None:
        super().__init__()
        from timm.models import get_notrace_modules

        self.outputs: dict[str, fx.Node] = {}
        self.untraceable = tuple(get_notrace_modules())  # type: ignore[no-untyped-call]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Return whether a module is a single node and not traced through."""
        library = type(m).__module__.startswith(("timm.layers", "torchvision.ops"))
        return library or type(m) in self.untraceable or super().is_leaf_module(m, module_qualified_name)

    def call_module(self, m: nn.Module, forward: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Record the output node of a module; torch.fx calls this for each module."""
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.outputs[self.path_of_module(m)] = result.node
        return result


def cut_network(network: nn.Module, name: str) -> tuple[fx.GraphModule, fx.GraphModule]:
    """Split a network after the module `name`, so that tail(prefix(x)) equals network(x).

    Returns
    -------
    prefix, tail
        Both share the parameters of `network`.

    Raises
    ------
    RecipeError
        If the network cannot be traced, or cannot be cut after `name`.
    """
    tracer = trace(network)
    node = find_cut_node(tracer, name)
    return _prefix(network, tracer.graph, node), _tail(network, tracer.graph, node)


def trace(network: nn.Module) -> Tracer:
    """Trace a network symbolically. Raises RecipeError if its code does not allow that."""
    tracer = Tracer()
    try:
        tracer.trace(network)
    except Exception as error:  # whatever the network's own code raises when traced
        raise RecipeError(
            f"this backbone cannot be cut ({str(error).splitlines()[0]}); choose another"
        ) from None
    return tracer


def find_cut_node(tracer: Tracer, name: str) -> fx.Node:
    """Return the output node of the module `name`.

    Raises RecipeError, with the modules to choose from, if there is no such module or if a skip connection
    runs past it.
    """
    if name not in tracer.outputs:
        raise RecipeError(f"no part {name!r} to freeze; choose from {', '.join(_choices(tracer))}")
    node = tracer.outputs[name]
    if not is_cut_point(tracer.graph, node):
        raise RecipeError(
            f"cannot freeze at {name!r}: a connection runs past it; choose from {', '.join(_choices(tracer))}"
        )
    return node


def _choices(tracer: Tracer) -> list[str]:
    # Only the outer modules: a list of every convolution would be too long.
    return [
        name
        for name in tracer.outputs
        if name.count(".") <= 2 and is_cut_point(tracer.graph, tracer.outputs[name])
    ]


def is_cut_point(graph: fx.Graph, node: fx.Node) -> bool:
    """Return whether everything after `node` depends on what is before it only through `node`."""
    before = nodes_up_to(graph, node)
    return all(
        argument is node or argument not in before or argument.op == "get_attr"
        for other in graph.nodes
        if other not in before
        for argument in other.all_input_nodes
    )


def nodes_up_to(graph: fx.Graph, node: fx.Node) -> dict[fx.Node, None]:
    """Return the nodes up to and including `node`, in order."""
    before: dict[fx.Node, None] = {}
    for other in graph.nodes:
        before[other] = None
        if other is node:
            break
    return before


def _prefix(network: nn.Module, graph: fx.Graph, node: fx.Node) -> fx.GraphModule:
    new = fx.Graph()
    copied: dict[fx.Node, fx.Node] = {}
    for other in nodes_up_to(graph, node):
        copied[other] = new.node_copy(other, copied.__getitem__)
    new.output(copied[node])
    return fx.GraphModule(network, new)


def _tail(network: nn.Module, graph: fx.Graph, node: fx.Node) -> fx.GraphModule:
    new = fx.Graph()
    before = nodes_up_to(graph, node)
    copied: dict[fx.Node, fx.Node] = {node: new.placeholder("activations")}
    for other in graph.nodes:
        # A parameter read before the cut may be used after it; all else before the cut is in the prefix.
        shared = other.op == "get_attr" and any(user not in before for user in other.users)
        if other not in before or shared:
            copied[other] = new.node_copy(other, copied.__getitem__)
    return fx.GraphModule(network, new)
