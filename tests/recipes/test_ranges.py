"""Every number of a recipe has a range, and what lies outside is refused in a line that names key and range."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from typer.testing import CliRunner

from gliascope.cli import app
from gliascope.errors import RecipeError
from gliascope.preprocessing.preprocess import Preprocessing
from gliascope.recipes import Recipe, load_recipe, recipe_names
from gliascope.recipes.ranges import describe_errors
from gliascope.recipes.space import SearchSpace

SCHEMA = Recipe.model_json_schema()
# Lists and optional parts that `quick` leaves empty, with values that are valid.
FILLED = (
    "head.hidden=[8]",
    "head.dropout=[0.1, 0.1]",
    "augmentation.crop=[0.5, 1]",
    "preprocessing.mean=[0.5, 0.5, 0.5]",
    "preprocessing.std=[0.5, 0.5, 0.5]",
    "tta.views=[{translate: [0, 0]}]",
)


def numbers(
    node: dict[str, Any], key: tuple[str, ...] = (), kind: str = ""
) -> Iterator[tuple[str, str, Any]]:
    """Key, kind of schedule and JSON schema of each number."""
    if "$ref" in node:
        node = SCHEMA["$defs"][node["$ref"].rpartition("/")[2]]
    for member in node.get("anyOf", []) + node.get("oneOf", []):
        yield from numbers(member, key, kind)
    kind = node.get("properties", {}).get("kind", {}).get("const", kind) if "schedule" in key else kind
    for name, child in node.get("properties", {}).items():
        yield from numbers(child, (*key, name), kind)
    items = node.get("prefixItems") or ([node["items"]] if "items" in node else [])
    for number, child in enumerate(items):
        yield from numbers(child, (*key, str(number)), kind)
    if node.get("type") in ("integer", "number"):
        yield ".".join(key), kind, node


NUMBERS = list(numbers(SCHEMA))


def test_there_are_numbers_in_all_sections() -> None:
    keys = {key for key, _, _ in NUMBERS}
    assert len(keys) > 50
    assert {
        "seed",
        "stages.0.lr",
        "head.hidden.0",
        "stages.0.schedule.warmup",
        "tta.views.0.translate.1",
    } <= keys


@pytest.mark.parametrize(
    ("key", "kind", "node"), NUMBERS, ids=[f"{key} {kind}".strip() for key, kind, _ in NUMBERS]
)
def test_a_number_has_a_range_and_what_is_outside_is_refused_by_its_key(
    key: str, kind: str, node: dict[str, Any]
) -> None:
    low = node.get("minimum", node.get("exclusiveMinimum"))
    high = node.get("maximum", node.get("exclusiveMaximum"))
    assert low is not None and high is not None, "has no range"
    chosen = [f"stages.0.schedule={{kind: {kind}}}"] if kind else ["stages.0.plateau={}"]
    load_recipe("quick", [*FILLED, *chosen])
    bad: list[object] = [".nan", ".inf", "-.inf", low - 1, high + 1]
    bad += [low] if "exclusiveMinimum" in node else []
    bad += [high] if "exclusiveMaximum" in node else []
    bad += [low + 0.5] if node["type"] == "integer" else []
    for value in bad:
        with pytest.raises(RecipeError) as caught:
            load_recipe("quick", [*FILLED, *chosen, f"{key}={value}"])
        message = str(caught.value)
        words = "a whole number" if node["type"] == "integer" else "a number"
        start = f"above {low}" if "exclusiveMinimum" in node else f"from {low}"
        assert message.startswith(f"quick: {key}: expected "), message
        assert f"{words} {start} to " in message
        assert str(high) in message
        assert "\n" not in message
        assert len(message) < 200


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["stages=[]"], "stages: expected a list of 1 to 100 but got []"),
        (["stages.0=3"], "stages.0: expected a mapping but got 3"),
        (["tta.views=[]"], "tta.views: expected a list of 1 to 100 but got []"),
        (["stages.0.freeze=2"], "stages.0.freeze: expected text or a number from 0 to 1 or null but got 2"),
        (["augmentation.crop=[0.9,0.5]"], "augmentation: expected crop as [least, greatest] but got [0.9, 0.5]"),
        (["stages.0.schedule={kind: wavy}"], "'cosine'"),
        (["stages.0.accumulate=100"], "stages.0: expected accumulate to be at most batch_size, 32, but got 100"),
        (["head.batch_norm=true", "stages.0.batch_size=1"], "stages.0.batch_size: expected 2 or more but got 1"),
        (["head.batch_norm=true", "stages.0.accumulate=32"], "stages.0.batch_size: expected 64 or more but got 32"),
        (["stages.²=1"], "stages.²: expected a number below 1 but got '²'"),
        (["stages.².epochs=1"], "stages.².epochs: expected a number below 1 but got '²'"),
        (["stages.٠.epochs=1"], "expected a number below 1"),
        (["stages.00000000000000000000000000.epochs=1"], "expected a number below 1"),
    ],
)  # fmt: skip
def test_what_no_single_number_tells(overrides: list[str], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe("quick", overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "got [{" not in str(caught.value)


def test_the_command_says_it_alone(tmp_path: Path) -> None:
    told = CliRunner().invoke(
        app, ["run", str(tmp_path), "--out", str(tmp_path / "out"), "--set", "head.dropout=[1.5]"]
    )
    assert told.exit_code == 2
    assert told.output == "error: quick: head.dropout.0: expected a number from 0 to below 1 but got 1.5\n"


def test_recipes_that_come_with_us_are_all_within(tmp_path: Path) -> None:
    for name in recipe_names():
        text = yaml.safe_dump(load_recipe(name).model_dump(mode="json"))
        (tmp_path / "r.yaml").write_text(text, encoding="utf-8")
        assert load_recipe(str(tmp_path / "r.yaml")) == load_recipe(name)


def test_a_graphs_preprocessing_is_told_likewise() -> None:
    with pytest.raises(ValidationError) as caught:
        Preprocessing.model_validate({"size": 5, "std": [1, 0, 1]})
    assert describe_errors(caught.value, Preprocessing) == (
        "size: expected a whole number from 16 to 1024 but got 5; "
        "std.1: expected a number above 0 to 255 but got 0"
    )


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"stages.0.epochs": {"low": 1, "high": 4.5}}, "stages.0.epochs: expected a whole number"),
        ({"stages.0.epochs": {"low": 1.0, "high": 5.0}}, "stages.0.epochs: expected a whole number"),
        (
            {"stages.0.batch_size": {"low": 8, "high": 64, "step": 2.5}},
            "stages.0.batch_size: expected a whole",
        ),
        ({"head.dropout.0": {"low": -1, "high": 0.5}}, "head.dropout.0: expected a number from 0 to below 1"),
    ],
)
def test_a_space_is_held_against_the_ranges_before_the_search(field: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        SearchSpace.model_validate({"fields": field}).check("quick", ())
    assert message in str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_the_ends_of_a_range_are_finite(value: float) -> None:
    for end in ("low", "high", "step"):
        with pytest.raises(ValidationError):
            SearchSpace.model_validate(
                {"fields": {"mixup": {"low": 0, "high": 1, "step": 0.1} | {end: value}}}
            )
