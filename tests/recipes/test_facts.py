"""What the five projects did, as numbers, against the recipes that reproduce them."""

import math
from typing import Any

import numpy as np
import pytest

from gliascope.recipes import Recipe, load_recipe, recipe_names

HOUSE = ("best", "binary", "linear-probe", "quick")


def read(recipe: Recipe, path: str) -> Any:
    """`stages.0.lr` of a recipe, as plain data."""
    value: Any = recipe.model_dump(mode="json")
    for key in path.split("."):
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


FACTS: dict[str, dict[str, Any]] = {
    "resnet50-frozen": {
        "backbone": "resnet50_keras",
        "preprocessing.size": 224,
        "preprocessing.mean": None,  # the backbone's own: Keras' preprocessing is folded into the weights
        "head.pooling": "average",
        "head.hidden": [],
        "head.dropout": [0.5],
        "augmentation.flip": 0.5,
        "augmentation.brightness": 0.1,
        "augmented_validation": False,
        "loss.kind": "cross_entropy",
        "loss.label_smoothing": 0,
        "stages.0.freeze": "backbone",
        "stages.0.batch_norm": "frozen",
        "stages.0.optimizer": "adam",
        "stages.0.lr": 1e-4,
        "stages.0.batch_size": 128,
        "stages.0.epochs": 10,
        "stages.0.schedule.kind": "constant",
    },
    "resnet-scratch": {
        "task": "binary",
        "weights": "random",
        "preprocessing.size": 224,
        "preprocessing.mean": [0, 0, 0],
        "preprocessing.std": [1, 1, 1],
        "head.pooling": "average",
        "head.activation": "relu",
        "head.sigmoid": True,
        "loss.kind": "binary_cross_entropy",
        "stages.0.freeze": None,
        "stages.0.optimizer": "adam",
        "stages.0.epochs": 80,
    },
    "efficientnetv2s-three-stage": {
        "backbone": "tf_efficientnetv2_s.in1k",
        "head.pooling": "dual",
        "head.hidden": [512, 256],
        "head.activation": "swish",
        "head.batch_norm": True,
        "head.dropout": [0.4, 0.4, 0.3],
        "head.l2": 1e-4,
        "loss.label_smoothing": 0.1,
        "loss.class_weights": True,
        "augmentation.flip": 0.5,
        "augmentation.rotate": 15,
        "augmentation.translate": 0.1,
        "augmentation.scale": 0.1,
        "augmentation.shear": 0.1,
        "augmentation.brightness": 0.15,
        "stages.0.freeze": "backbone",
        "stages.1.freeze": "backbone.blocks.5.4",  # 154 of Keras' 513 layers are after it: the top 30 %
        "stages.2.freeze": None,
        **{f"stages.{n}.batch_norm": "frozen" for n in range(3)},
        **{f"stages.{n}.batch_size": 16 for n in range(3)},
        **{f"stages.{n}.optimizer": "adam" for n in range(3)},
        **{f"stages.{n}.lr": lr for n, lr in enumerate((1e-3, 1e-4, 5e-5))},
        **{f"stages.{n}.epochs": epochs for n, epochs in enumerate((25, 35, 15))},
        **{f"stages.{n}.patience": epochs for n, epochs in enumerate((8, 12, 10))},
        **{f"stages.{n}.schedule.warmup": epochs for n, epochs in enumerate((3, 5, 2))},
        "stages.0.plateau": None,
        "stages.1.plateau": {"factor": 0.5, "patience": 5},
        "stages.2.plateau": None,
        "tta.average": "probabilities",
        "augmented_validation": False,
    },
    "vgg16-gap": {"backbone": "vgg16.tv_in1k"},
    "resnet50-gap": {"backbone": "resnet50_keras", "batch_norm_momentum": 0.01},
    "resnet50-sgd": {"backbone": "resnet50.tv_in1k"},
    "vgg16-sgd": {"backbone": "vgg16.tv_in1k"},
    "inceptionv3-sgd": {"backbone": "inception_v3.tv_in1k"},
}
GAP = {
    "preprocessing.size": 224,
    "head.pooling": "average",
    "head.hidden": [512],
    "head.activation": "relu",
    "head.dropout": [0, 0.5],
    "augmentation.rotate": 20,
    "augmentation.translate": 0.2,
    "augmentation.flip": 0.5,
    "augmented_validation": True,
    "stages.0.freeze": None,
    "stages.0.batch_norm": "train",
    "stages.0.optimizer": "adam",
    "stages.0.lr": 1e-3,
    "stages.0.batch_size": 32,
    "stages.0.epochs": 20,
    "stages.0.schedule.kind": "constant",
}
SGD = {
    "preprocessing.fit": "cover",
    "augmentation.crop": [0.08, 1.0],
    "augmentation.flip": 0.5,
    "watch_test": True,
    "head.pooling": "average",
    "head.hidden": [],
    "stages.0.freeze": None,
    "stages.0.batch_norm": "train",
    "stages.0.optimizer": "sgd",
    "stages.0.lr": 1e-3,
    "stages.0.momentum": 0.9,
    "stages.0.weight_decay": 0,
    "stages.0.schedule": {"kind": "step", "every": 7, "factor": 0.1},
    "stages.0.batch_size": 4,
    "stages.0.epochs": 50,
}
for _name in ("vgg16-gap", "resnet50-gap"):
    FACTS[_name] |= GAP
for _name in ("resnet50-sgd", "vgg16-sgd", "inceptionv3-sgd"):
    size, centre = (342, 299) if _name == "inceptionv3-sgd" else (256, 224)
    FACTS[_name] |= SGD | {"preprocessing.size": size, "preprocessing.centre": centre}


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [(name, path, value) for name, facts in FACTS.items() for path, value in facts.items()],
)
def test_a_recipe_does_what_its_project_did(name: str, path: str, value: Any) -> None:
    assert read(load_recipe(name), path) == value


@pytest.mark.parametrize("name", FACTS)
def test_reproductions_see_fresh_views_of_which_all_are_stated(name: str) -> None:
    """What a project did not do is off: the augmentation is the stated one and no more."""
    recipe = load_recipe(name)
    assert recipe.views is None
    assert (recipe.mixup, recipe.ema) == (0, 0)
    stated = {path.removeprefix("augmentation.") for path in FACTS[name] if path.startswith("augmentation.")}
    used = {key for key, value in recipe.augmentation.model_dump().items() if value}
    assert used == stated


RESULTS = {
    "resnet50-frozen": ["87.41", "0.3582", "39.40/73.61", "77.77/84.06", "85.52/87.33", "125 s"],
    "resnet-scratch": ["90 %"],
    "efficientnetv2s-three-stage": ["93-97 %"],
    "efficientnetv2s-three-stage-as-published": [
        *("0.5856", "91.84", "92.46", "89.86", "0.9902", "91.91", ".9265/.8400"),
        *(".8388/.8333", ".9619/.9975", ".9333/.9800"),
    ],
    "vgg16-gap": ["73", "69"],
    "resnet50-gap": ["66", "28"],
    "resnet50-sgd": ["95.3", "94.32", "0.6273", "81.94", "2.0415"],
    "vgg16-sgd": ["97.24", "0.3027", "91.58", "1.3502"],
    "inceptionv3-sgd": ["89.93", "0.2225", "63.86", "5.7651"],
}
REMARKS = {
    "resnet50-frozen": ["52,814", "67.5/16.3/16.3", "46,920", "eleven"],
    "efficientnetv2s-three-stage-as-published": ["1-3 points", "0.07", "93-97 %", "augmented", "x / 128 - 1"],
    "resnet50-sgd": ["test set", "leak"],
}


def test_recipes_with_an_origin_say_what_came_of_it() -> None:
    for name in recipe_names():
        recipe = load_recipe(name)
        assert (recipe.origin is None) == (name in HOUSE), name
        if recipe.origin:
            for figure in RESULTS.get(name, []):
                assert figure in recipe.origin.result, (name, figure)
            for word in REMARKS.get(name, []):
                assert word in recipe.origin.remarks, (name, word)


def test_every_recipe_says_which_mode_its_batch_norm_is_in() -> None:
    import yaml

    from gliascope.recipes import recipe_text

    for name in recipe_names():
        if name not in ("quick", "binary"):  # kept as it is; the same otherwise
            stages = yaml.safe_load(recipe_text(name))["stages"]
            assert all("batch_norm" in stage for stage in stages), name


def test_the_published_script_differs_by_its_two_mistakes_alone() -> None:
    mended = load_recipe("efficientnetv2s-three-stage").model_dump(mode="json")
    published = load_recipe("efficientnetv2s-three-stage-as-published").model_dump(mode="json")
    told = {"name", "description", "origin"}
    differing = {key for key in mended if mended[key] != published[key]} - told
    assert differing == {"preprocessing", "augmented_validation"}
    assert published["augmented_validation"]
    assert {k for k, v in mended["preprocessing"].items() if v != published["preprocessing"][k]} == {
        "mean",
        "std",
    }


def test_the_published_script_scales_twice() -> None:
    """Keras' EfficientNetV2-S begins with Rescaling(1 / 128, offset=-1), and was given pixels / 255."""
    preprocessing = load_recipe("efficientnetv2s-three-stage-as-published").preprocessing
    unit = np.arange(256)[:, None] / 255
    ours = (unit - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    assert np.allclose(ours, unit / 128 - 1)
    assert np.ptp(ours) < 0.008  # of the two that the weights expect


@pytest.mark.parametrize("name", ["vgg16-gap", "resnet50-gap"])
def test_unit_pixels_reach_weights_that_expect_keras_input_as_they_did(name: str) -> None:
    """The weights expect 255 x - mean, with Caffe's mean; folded into ours, (x - m) / s. They got x itself."""
    preprocessing = load_recipe(name).preprocessing
    m, s = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    caffe = np.array([123.68, 116.779, 103.939])
    unit = np.arange(256)[:, None] / 255
    ours = (unit - np.array(preprocessing.mean)) / np.array(preprocessing.std)
    given = (ours * s + m) * 255 - caffe  # what the original weights would have to get for the same
    assert np.abs(given - unit).max() < 1e-3


@pytest.mark.parametrize(("number", "initial", "warmup"), [(0, 1e-3, 3), (1, 1e-4, 5), (2, 5e-5, 2)])
def test_rates_of_the_three_stages_follow_the_published_formulas(
    number: int, initial: float, warmup: int
) -> None:
    stage = load_recipe("efficientnetv2s-three-stage").stages[number]
    for epoch in range(stage.epochs):
        progress = (epoch - warmup) / (stage.epochs - warmup)
        falling = 1e-7 + (initial - 1e-7) * (1 + math.cos(math.pi * progress)) / 2
        expected = initial * (epoch + 1) / warmup if epoch < warmup else falling
        for step in (0, 302):  # all of an epoch: 4,855 slices in batches of 16
            rate = stage.schedule.rate(stage.lr, epoch * 303 + step, 303, stage.epochs)
            assert rate == pytest.approx(expected, rel=1e-12)


def test_sgd_falls_to_a_tenth_every_seven_epochs() -> None:
    stage = load_recipe("resnet50-sgd").stages[0]
    rates = [stage.schedule.rate(stage.lr, 700 * epoch, 700, stage.epochs) for epoch in (0, 6, 7, 49)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-10])


def test_five_views_stay_within_what_the_project_drew() -> None:
    views = load_recipe("efficientnetv2s-three-stage").tta.views
    assert len(views) == 5
    assert views[0] == type(views[0])()
    assert any(view.flip for view in views)
    for view in views:
        assert abs(view.rotate) <= 10
        assert max(map(abs, view.translate)) <= 0.05
        assert abs(view.scale - 1) <= 0.05 + 1e-9


def test_the_finetuned_sibling_has_the_wishes_of_its_project() -> None:
    frozen, sibling = load_recipe("resnet50-frozen"), load_recipe("resnet50-finetuned")
    assert (sibling.backbone, sibling.preprocessing) == (frozen.backbone, frozen.preprocessing)
    assert sibling.stages[0].freeze == "backbone"
    assert sibling.stages[1].freeze == "backbone.layer3"
    wishes = ("bias_field", "gamma", "noise", "ghost", "elastic")
    assert all(getattr(sibling.augmentation, wish) > 0 for wish in wishes)


def test_house_recipes() -> None:
    quick, binary, probe, best = (load_recipe(n) for n in ("quick", "binary", "linear-probe", "best"))
    same = {"name": "", "description": "", "task": "types"}
    assert binary.model_copy(update=same) == quick.model_copy(update=same)
    assert binary.task == "binary"
    assert (probe.views, probe.stages[0].freeze, len(probe.stages)) == (1, "backbone", 1)
    assert not any(probe.augmentation.model_dump().values())
    assert best.mixup > 0
    assert best.ema > 0
    assert best.loss.label_smoothing > 0
    assert any(view.flip for view in best.tta.views)
