"""Turn pydantic validation errors into messages that name the key and its valid range."""

import reprlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

Location = tuple[int | str, ...]
Node = dict[str, Any]
_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "array": "a list",
    "object": "a mapping",
}


def describe_error(error: Mapping[str, Any], model: type[BaseModel]) -> str:
    """Describe one validation error as `key: expected RANGE but got VALUE`.

    Parameters
    ----------
    error
        An entry of `ValidationError.errors()`.
    model
        The model that was validated; its JSON schema holds the ranges.
    """
    if error["type"] == "missing":
        return f"{_dotted(error['loc'])}: {error['msg']}"
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in (
        "value_error",
        "union_tag_invalid",
        "union_tag_not_found",
    ):  # these messages are complete as they are
        return f"{_dotted(error['loc'])}: {message}" if error["loc"] else message
    schema = model.model_json_schema()
    found = list(_leaves(schema, schema, error["loc"]))
    key = _dotted(found[0][0] if found else error["loc"])
    expected = " or ".join(dict.fromkeys(_words(node) for _, node in found))
    got = f"but got {reprlib.repr(error['input'])}"
    return f"{key}: expected {expected} {got}" if expected else f"{key}: {message} {got}"


def describe_errors(error: ValidationError, model: type[BaseModel]) -> str:
    """Describe all errors of a ValidationError in one line, without repetitions."""
    return "; ".join(dict.fromkeys(describe_error(item, model) for item in root_errors(error)))


def root_errors(error: ValidationError) -> list[Mapping[str, Any]]:
    """Return the errors of a ValidationError, except those of a parent whose child already has an error."""
    items = error.errors()
    within = [item["loc"] for item in items]
    return [
        item
        for item in items
        if not any(len(loc) > len(item["loc"]) and loc[: len(item["loc"])] == item["loc"] for loc in within)
    ]


def _dotted(location: Sequence[int | str]) -> str:
    return ".".join(map(str, location))


def _leaves(
    schema: Node, node: Node, location: Location, key: Location = ()
) -> Iterator[tuple[Location, Node]]:
    """Yield the JSON schema's nodes at a location, each with the location as a user writes it.

    pydantic adds the chosen member of a union to the location; users do not write that.
    """
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rpartition("/")[2]]
    if members := node.get("anyOf") or node.get("oneOf"):
        found = [leaf for member in members for leaf in _leaves(schema, member, location, key)]
        if not found and location:
            found = [leaf for member in members for leaf in _leaves(schema, member, location[1:], key)]
        yield from found
    elif not location:
        yield key, node
    elif (first := location[0]) in node.get("properties", {}):
        yield from _leaves(schema, node["properties"][first], location[1:], (*key, first))
    elif isinstance(first, int) and node.get("type") == "array":
        items = node.get("prefixItems", [])
        below = items[first] if first < len(items) else node.get("items", {})
        yield from _leaves(schema, below, location[1:], (*key, first))


def _words(node: Node) -> str:
    if "enum" in node or "const" in node:
        return " or ".join(map(str, node.get("enum", [node.get("const")])))
    words = _WORDS.get(node.get("type", ""), "another value")
    if (fewest := node.get("minItems", node.get("minProperties"))) is not None:
        most = node.get("maxItems", node.get("maxProperties"))
        number = (
            f"at least {fewest}" if most is None else f"{fewest}" if most == fewest else f"{fewest} to {most}"
        )
        return f"{words} of {number}"
    lower, above = node.get("minimum"), node.get("exclusiveMinimum")
    upper, below = node.get("maximum"), node.get("exclusiveMaximum")
    if lower is None and above is None:
        return words
    start = f"from {lower}" if above is None else f"above {above}"
    end = "" if upper is None and below is None else f" to {upper}" if below is None else f" to below {below}"
    return f"{words} {start}{end}"
