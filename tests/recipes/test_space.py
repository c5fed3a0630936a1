from pathlib import Path

import pytest
import yaml

from gliascope.errors import RecipeError
from gliascope.recipes import load_recipe
from gliascope.recipes.space import Choices, Range, SearchSpace, load_search_space, override_text, to_yaml


def space(**fields: dict) -> SearchSpace:
    return SearchSpace.model_validate(
        {"fields": {key.replace("__", "."): field for key, field in fields.items()}}
    )


def test_a_space_is_yaml_with_ranges_and_choices(tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text(
        "objective: val_loss\n"
        "fields:\n"
        "  stages.0.lr: {low: 1.0e-4, high: 1.0e-2, log: true}\n"
        "  stages.0.epochs: {low: 2, high: 8, step: 2}\n"
        "  head.dropout.0: {low: 0, high: 0.5}\n"
        "  augmentation.crop: {choices: [null, [0.8, 1.0]]}\n"
    )
    found = load_search_space(tmp_path / "space.yaml")
    assert found.objective == "val_loss"
    assert found.fields["stages.0.lr"] == Range(low=1e-4, high=1e-2, log=True)
    assert found.fields["stages.0.epochs"].is_integer
    assert not found.fields["head.dropout.0"].is_integer
    assert found.fields["augmentation.crop"] == Choices(choices=(None, [0.8, 1.0]))
    found.check("quick", ())


@pytest.mark.parametrize(
    "value", [1e-5, 3, 0.1 + 0.2, True, None, "backbone.blocks.4", [0.8, 1.0], [{"flip": True}, {}], "1e-5"]
)
def test_a_value_survives_as_text(value: object) -> None:
    assert yaml.safe_load(to_yaml(value)) == value
    assert "\n" not in to_yaml(value)


def test_an_override_reaches_the_recipe() -> None:
    recipe = load_recipe(
        "quick", [override_text("stages.0.lr", 1e-5), override_text("tta.views", [{"flip": True}])]
    )
    assert recipe.stages[0].lr == 1e-5
    assert [view.flip for view in recipe.tta.views] == [True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fields: {}", "at least 1"),
        ("fields: {mixup: {low: 1, high: 1}}", "low below high"),
        ("fields: {mixup: {low: 0, high: 1, log: true}}", "low above 0"),
        ("fields: {mixup: {low: 0.1, high: 1, log: true, step: 0.1}}", "no step"),
        ("fields: {mixup: {choices: [0.1]}}", "at least 2"),
        ("fields: {mixup: 0.1}", "expected like docs/tune.md"),
        ("objective: test_accuracy\nfields: {mixup: {low: 0, high: 1}}", "objective"),
        ("- 1", "expected like"),
        ("a: [", "cannot be read"),
    ],
)
def test_what_is_no_space_is_refused_naming_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "space.yaml").write_text(text)
    with pytest.raises(RecipeError, match=f"space.yaml: .*{message}"):
        load_search_space(tmp_path / "space.yaml")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"viewz": {"low": 1, "high": 2}}, "nearest known key is 'views'"),
        ({"stages__3__lr": {"low": 1, "high": 2}}, "stages.3.lr"),
        ({"ema": {"low": 0, "high": 2}}, "ema: .*got 2"),
        ({"loss__kind": {"choices": ["focal", 3]}}, "loss.kind"),
    ],
)
def test_a_space_that_does_not_fit_the_recipe_is_refused_naming_the_key(fields: dict, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        space(**fields).check("quick", ())


def test_the_recipe_itself_is_a_point_of_the_space_if_all_its_values_are() -> None:
    quick = load_recipe("quick")
    within = {
        "stages__0__lr": {"low": 1e-4, "high": 1e-2},
        "stages__0__epochs": {"low": 4, "high": 12, "step": 2},
        "tta__views": {"choices": [[{}], quick.model_dump(mode="json")["tta"]["views"]]},
    }
    assert space(**within).values_of(quick) == {
        "stages.0.lr": 2e-3,
        "stages.0.epochs": 10,
        "tta.views": to_yaml(quick.model_dump(mode="json")["tta"]["views"]),
    }
    assert space(**within | {"stages__0__epochs": {"low": 5, "high": 15, "step": 2}}).values_of(quick) is None
    assert space(**within | {"mixup": {"low": 0.1, "high": 0.4}}).values_of(quick) is None
    assert space(**within | {"ema": {"choices": [0.9, 0.95]}}).values_of(quick) is None


@pytest.mark.parametrize(
    ("key", "field", "remade"),
    [
        ("stages__0__lr", {"low": 1e-4, "high": 1e-2}, False),
        ("augmentation__rotate", {"low": 0, "high": 30}, True),
        ("augmentation__rotate", {"choices": [0, 15]}, False),
        ("stages__0__freeze", {"low": 0.1, "high": 0.9}, True),
    ],
)
def test_ranges_before_the_cut_remake_activations(key: str, field: dict, remade: bool) -> None:
    assert space(**{key: field}).remakes_activations == remade
