from pathlib import Path

import pytest
import yaml

from gliascope.errors import RecipeError
from gliascope.recipes import Recipe, load_recipe, recipe_names

BASE = "name: x\ndescription: y\nbackbone: z\npreprocessing: {size: 64}\nviews: 1\nstages: [{epochs: 1, freeze: backbone}]\n"


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> str:
        (tmp_path / "r.yaml").write_text(text)
        return str(tmp_path / "r.yaml")

    return write


@pytest.mark.parametrize("name", recipe_names())
def test_contract_every_recipe_loads_describes_itself_and_survives_yaml(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    assert Recipe.model_validate(yaml.safe_load(yaml.safe_dump(recipe.model_dump(mode="json")))) == recipe


def test_a_file_is_a_recipe_too(write) -> None:
    assert load_recipe(write(BASE)).preprocessing.size == 64


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            BASE + "augmentations: {flip: 1}\n",
            "unknown key 'augmentations'; the nearest known key is 'augmentation'",
        ),
        (
            BASE + "loss: {labelsmoothing: 0.1}\n",
            r"unknown key 'loss.labelsmoothing'; the nearest known key is 'label_smoothing'",
        ),
        (
            BASE.replace("epochs: 1", "epochs: 1, schedule: {kind: cosine, warm: 1}"),
            r"'stages.0.schedule.cosine.warm'; the nearest known key is 'warmup'",
        ),
        (
            BASE.replace("epochs: 1", "epochs: 1, plateau: {patence: 1}"),
            r"'stages.0.plateau.patence'; the nearest known key is 'patience'",
        ),
        (BASE.replace("size", "sise"), r"unknown key 'preprocessing.sise'; the nearest known key is 'size'"),
        (BASE.replace("epochs: 1", "epochs: 1, lrr: 1"), r"'stages.0.lrr'; the nearest known key is 'lr'"),
        (BASE.replace("epochs: 1", "epochs: 0"), r"stages.0.epochs: .*got 0"),
        (BASE.replace("backbone: z\n", ""), "backbone: Field required"),
        ("- a\n", "expected a mapping"),
        ("a: b: c", "not valid YAML"),
    ],
)
def test_bad_recipes_name_file_and_key(write, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(write(text))
    assert "r.yaml" in str(caught.value)


def test_unknown_names_list_the_choices(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"choose from best, binary, .*quick"):
        load_recipe("quik")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(str(tmp_path / "none.yaml"))


def test_overrides_reach_any_depth() -> None:
    recipe = load_recipe(
        "quick", ["stages.0.epochs=2", "preprocessing.size=64", "head.dropout=[0]", "weights=w.pth"]
    )
    assert (recipe.stages[0].epochs, recipe.preprocessing.size, recipe.head.dropout) == (2, 64, (0,))
    assert recipe.weights == "w.pth"
    assert recipe.stages[0].lr == load_recipe("quick").stages[0].lr


def test_preprocessing_that_removes_shortcuts_is_switched_on_by_overrides() -> None:
    on = load_recipe(
        "quick", ["preprocessing.crop=head", "preprocessing.fit=pad", "preprocessing.standardise=true"]
    ).preprocessing
    assert (on.crop, on.fit, on.standardise) == ("head", "pad", True)
    with pytest.raises(RecipeError, match=r"preprocessing.crop: .*'brain'"):
        load_recipe("quick", ["preprocessing.crop=brain"])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected KEY=VALUE"),
        ("stages.5.epochs=1", "expected a number below 1 but got '5'"),
        ("stages.x.epochs=1", "expected a number below 1 but got 'x'"),
        ("views.x=1", "views is a single value"),
        ("stages.0.epochz=1", "nearest known key is 'epochs'"),
    ],
)
def test_bad_overrides(override: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe("quick", [override])
