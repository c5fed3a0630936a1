"""Load recipes from YAML, with error messages that name the key and the remedy."""

import difflib
import re
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from gliascope.errors import RecipeError
from gliascope.recipes.ranges import describe_error, root_errors
from gliascope.recipes.schema import Recipe

_NUMBER = re.compile(r"[0-9]{1,9}")


def recipe_names() -> list[str]:
    """Return the sorted names of the recipes that come with Gliascope."""
    folder = resources.files("gliascope.recipes")
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def recipe_text(name: str) -> str:
    """Return the YAML text of a built-in recipe or of a .yaml file. Raises RecipeError if there is none."""
    if name in recipe_names():
        return resources.files("gliascope.recipes").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    if not name.endswith((".yaml", ".yml")):
        raise RecipeError(
            f"unknown recipe {name!r}; choose from {', '.join(recipe_names())} or give a .yaml file"
        )
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{name}: cannot be read ({error})") from None


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Load a recipe by name or from a YAML file.

    Parameters
    ----------
    name
        A built-in recipe, or a path that ends in .yaml or .yml.
    overrides
        Changes to single keys as KEY=VALUE, applied in order.

    Raises
    ------
    RecipeError
        If there is no such recipe, or a key or value is invalid. The message names the file and the key, and
        for a misspelt key the nearest valid one.

    Examples
    --------
    >>> load_recipe("quick", ["stages.0.epochs=2"]).stages[0].epochs
    2
    """
    content = _parse(recipe_text(name), name)
    if not isinstance(content, dict):
        raise RecipeError(f"{name}: expected a mapping of recipe keys but got {type(content).__name__}")
    for override in overrides:
        _apply(content, override)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{name}: {_explain(error)}") from None


def _parse(text: str, name: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RecipeError(f"{name}: not valid YAML ({' '.join(str(error).split())})") from None


def _apply(content: Any, override: str) -> None:
    path, equals, value = override.partition("=")
    if not equals:
        raise RecipeError(f"{override!r}: expected KEY=VALUE, like stages.0.epochs=2")
    *parents, last = path.split(".")
    target = content
    for key in parents:
        target = _child(target, key, path)
    if isinstance(target, list):
        _child(target, last, path)
        target[int(last)] = _parse(value, override)
    elif isinstance(target, dict):
        target[last] = _parse(value, override)
    else:
        raise RecipeError(f"{path}: {parents[-1]} is a single value and has no {last}")


def _child(target: Any, key: str, path: str) -> Any:
    if isinstance(target, list):
        if not _NUMBER.fullmatch(key) or int(key) >= len(target):  # `str.isdigit` would accept "²"
            raise RecipeError(f"{path}: expected a number below {len(target)} but got {key!r}")
        return target[int(key)]
    if not isinstance(target, dict):
        raise RecipeError(f"{path}: a single value has no keys below it")
    # A section that the recipe leaves out has its defaults, and single keys of it may be overridden.
    return target.setdefault(key, {})


def _explain(error: ValidationError) -> str:
    problems = []
    for item in root_errors(error):
        if item["type"] == "extra_forbidden":
            where = ".".join(str(part) for part in item["loc"])
            near = difflib.get_close_matches(str(item["loc"][-1]), _keys(item["loc"]), n=1, cutoff=0.0)
            problems.append(f"unknown key {where!r}; the nearest known key is {near[0]!r}")
        else:
            problems.append(describe_error(item, Recipe))
    return "; ".join(dict.fromkeys(problems))


def _keys(location: tuple[int | str, ...]) -> list[str]:
    """Return the valid keys of the section that `location` lies in."""
    models: list[type[BaseModel]] = [Recipe]
    for part in location[:-1]:
        if isinstance(part, int):
            continue
        holders = [model for model in models if part in model.model_fields]
        if holders:
            models = _models(holders[0].model_fields[part].annotation)
        else:  # a member of a union: pydantic puts its kind into the location
            models = [model for model in models if model.model_fields["kind"].default == part]
    return list(models[0].model_fields)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """Return all models within an annotation such as `tuple[Stage, ...]` or `Constant | Step`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _models(argument)]
