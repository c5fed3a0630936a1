"""Members whose networks only mean grey levels, but for those of one test."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from greys import GREYS, grey_classifier, make_run, register
from outs import TYPES
from tiny import TINY

from gliascope.export.ensemble import EnsembleNetwork, MemberInput, export_ensemble
from gliascope.export.onnx import export_bundle
from gliascope.export.tta import DeployedNetwork
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.models.backbones import complete_recipe
from gliascope.models.classifier import build_classifier
from gliascope.models.weight_files import save_weights
from gliascope.preprocessing.preprocess import FILTERS, Preprocessing, preprocess
from gliascope.recipes import load_recipe
from gliascope.recipes.run import Run

SIZE = "preprocessing.size=16"


@pytest.fixture(autouse=True)
def _greys(monkeypatch: pytest.MonkeyPatch) -> None:
    register(monkeypatch)


def member(slope: float, *overrides: str) -> DeployedNetwork:
    recipe = load_recipe("quick", [*GREYS, SIZE, *overrides])
    return DeployedNetwork(grey_classifier(recipe, slope, 4), recipe).eval()


def pixels(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def answers(network: torch.nn.Module, given: np.ndarray) -> list[np.ndarray]:
    with torch.inference_mode():
        return [values.numpy() for values in network(torch.from_numpy(given))]


def test_the_answer_is_the_mean_of_the_members() -> None:
    members, given = [member(0.01), member(-0.02), member(0.005)], pixels(3, 16, 16)
    own = [answers(one, given) for one in members]
    logits, features, maps = answers(EnsembleNetwork(members, Preprocessing(size=16), "logits"), given)
    assert np.abs(logits - np.mean([one[0] for one in own], axis=0)).max() < 1e-5
    assert np.array_equal(features, np.concatenate([one[1] for one in own], axis=1))
    assert maps.shape == (3, 4, 16, 16)
    assert np.abs(maps - np.mean([one[2] for one in own], axis=0)).max() < 1e-4
    logits = answers(EnsembleNetwork(members, Preprocessing(size=16), "probabilities"), given)[0]
    expected = np.mean([torch.from_numpy(one[0]).softmax(1).numpy() for one in own], axis=0)
    assert np.abs(np.exp(logits) - expected).max() < 1e-6


def test_what_a_member_rules_out_by_rounding_is_not_impossible() -> None:
    joint = EnsembleNetwork([member(10.0), member(-10.0)], Preprocessing(size=16), "probabilities")
    logits = answers(joint, np.full((1, 16, 16), 255, dtype=np.uint8))[0]
    assert np.isfinite(logits).all()
    assert np.exp(logits[0]) == pytest.approx([0.5, 0, 0, 0.5], abs=1e-6)


@pytest.mark.parametrize("filter_", FILTERS)
@pytest.mark.parametrize("size", [40, 31])
def test_a_member_is_given_what_pillow_makes_of_the_picture(filter_: str, size: int) -> None:
    """Pillow rounds after each direction, and once more where it makes grey of colours."""
    for given_channels, channels in (("grey", "grey"), ("rgb", "rgb"), ("rgb", "grey")):
        given = Preprocessing(size=size, channels=given_channels, filter=filter_)
        wanted = Preprocessing(size=24, channels=channels, filter=filter_)
        noise = pixels(2, *given.shape) // 2 + 64  # no filter overshoots 0 or 255
        found = MemberInput(given, wanted)(torch.from_numpy(noise)).numpy()
        assert found.shape == (2, *wanted.shape)
        expected = np.stack([preprocess(picture, wanted) for picture in noise])
        assert np.abs(found - expected).max() < 2
        assert np.abs(found - expected).mean() < 0.5


def test_a_filter_that_overshoots_gives_no_other_than_grey_levels() -> None:
    given, wanted = (Preprocessing(size=size, filter="lanczos") for size in (40, 31))
    black_and_white = 255 * (pixels(2, 40, 40) // 128)
    found = MemberInput(given, wanted)(torch.from_numpy(black_and_white))
    assert (found.min(), found.max()) == (0, 255)


def test_members_of_unequal_pictures_see_the_one_resized() -> None:
    given = Preprocessing(size=24, channels="rgb")
    members = [member(0.01), member(0.02, "preprocessing.size=24", "preprocessing.channels=rgb")]
    joint, noise = EnsembleNetwork(members, given, "logits"), pixels(3, 24, 24, 3)
    assert joint.outputs == ["logits", "features"]  # maps of 16 and 24 places to a side have no mean
    small = np.stack([preprocess(one, members[0].preprocessing) for one in noise])
    own = [answers(members[0], small), answers(members[1], noise)]
    logits, features = answers(joint, noise)
    assert np.abs(features - np.concatenate([one[1] for one in own], axis=1)).max() < 0.5
    assert np.abs(logits - np.mean([one[0] for one in own], axis=0)).max() < 0.03


def test_maps_of_other_squares_have_no_mean() -> None:
    """The network of 24 pixels sees their central 16, and its maps have as many places as the other's."""
    inner = ("preprocessing.size=24", "preprocessing.centre=16")
    assert (
        "maps"
        not in EnsembleNetwork([member(1), member(1, *inner)], Preprocessing(size=24), "logits").outputs
    )
    same = Preprocessing(size=24, centre=16)
    assert "maps" in EnsembleNetwork([member(1, *inner), member(2, *inner)], same, "logits").outputs


def test_the_facts_are_of_all_members(tmp_path: Path) -> None:
    runs = [make_run(tmp_path / str(n), slope, TYPES) for n, slope in enumerate((0.01, -0.01))]
    change(runs[0], {"weights": "mit", "gliascope": "x"}, {"torch": "2"}, [{}])
    change(runs[1], {"weights": "bsd", "gliascope": "x"}, {"timm": "1"}, [{"flip": False}, {}])
    given = runs[0].recipe.preprocessing
    joined = export_ensemble("one + two", runs, given)
    info = joined.info
    assert (info.recipe, info.parameters, info.preprocessing) == ("one + two", 24, given)
    assert info.licences == {"weights": "mit, bsd", "gliascope": "x"}
    assert info.versions == {"torch": "2", "timm": "1"}
    assert info.tta == {"views": [{}, {"flip": False}]}
    assert info.activation_maps
    noise = pixels(5, 16, 16)
    expected = np.mean([Engine(Bundle.load(run.model))(noise).probabilities for run in runs], axis=0)
    assert np.abs(Engine(joined)(noise).probabilities - expected).max() < 1e-6


def change(run: Run, licences: dict, versions: dict, views: list) -> None:
    model = Bundle.load(run.model)
    facts = {"licences": licences, "versions": versions, "tta": {"views": views}}
    Bundle(model.info.model_copy(update=facts), model.model).write(run.model)


def test_what_members_share_is_stored_and_computed_once(tmp_path: Path) -> None:
    """Two networks that differ in the last layer alone, as two seeds with a frozen backbone do."""
    runs, bundles = [], []
    recipe = complete_recipe(load_recipe("quick", [*TINY, "backbone=residual18", "weights=random"]))
    for number in range(2):
        classifier = build_classifier(recipe, 4).eval()  # drawn from the recipe's seed: equal
        torch.manual_seed(number)
        torch.nn.init.normal_(classifier.head.linear.weight)
        run = make_run(tmp_path / str(number), 1.0, TYPES)
        run = Run(run.folder, recipe, run.record)
        save_weights(run.folder / "chosen.safetensors", classifier)
        bundles.append(export_bundle(classifier, recipe, TYPES, {}))
        bundles[-1].write(run.model)
        runs.append(run)
    joined = export_ensemble("both", runs, recipe.preprocessing)
    assert len(joined.model) < 1.1 * len(bundles[0].model)
    convolutions = [
        sum(node.op_type == "Conv" for node in onnx.load_from_string(one.model).graph.node)
        for one in (joined, bundles[0])
    ]
    assert convolutions[0] == convolutions[1]
    slices = pixels(5, 64, 64)
    own, found = [Engine(one)(slices) for one in bundles], Engine(joined)(slices)
    assert np.abs(own[0].logits - own[1].logits).max() > 1e-3
    expected = (own[0].probabilities + own[1].probabilities) / 2
    assert np.abs(found.probabilities - expected).max() < 1e-5
    assert found.maps is not None and own[0].maps is not None and own[1].maps is not None
    assert np.abs(found.maps - (own[0].maps + own[1].maps) / 2).max() < 1e-4
