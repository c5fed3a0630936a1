"""Every recipe, tiny: it trains what it should and nothing else, is saved, reloaded, exported."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import LABELS, slice_image
from torch import Tensor
from torch.optim.swa_utils import update_bn

from gliascope.dataset.catalog import Catalog
from gliascope.dataset.scan import scan
from gliascope.export.tta import DeployedNetwork
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.models.backbones import complete_recipe, execution_order
from gliascope.models.classifier import Classifier, Normalise
from gliascope.models.weight_files import load_weights
from gliascope.recipes import Recipe, load_recipe, recipe_names
from gliascope.recipes.run import EpochMetrics, Run
from gliascope.splits.split import split
from gliascope.store.store import store
from gliascope.training import loop, run
from gliascope.training.checkpoints import load_progress, with_prefix
from gliascope.training.stage import StageTraining

# Whose backbones are small: the others take ten times as long.
QUICK = ("binary", "linear-probe", "quick")
SIZES = {"inception_v3.tv_in1k": 80}  # its stem leaves nothing of less than 75


def tiny(name: str) -> list[str]:
    """Overrides that keep what a recipe does, in the small: one step a stage, no weights to be had."""
    recipe = load_recipe(name)
    size = SIZES.get(recipe.backbone, 64)
    stages = range(len(recipe.stages))
    square = {"size": size} if recipe.preprocessing.centre is None else {"size": size + 8, "centre": size}
    return [
        "weights=random",
        *(f"preprocessing.{key}={value}" for key, value in square.items()),
        *(f"stages.{number}.epochs=1" for number in stages),
        *(f"stages.{number}.batch_size=100" for number in stages),  # of 16 slices: one step
    ]


@dataclass
class Watched:
    """Weights before and after each stage, and whose they are."""

    before: list[dict[str, Tensor]] = field(default_factory=list)
    after: list[dict[str, Tensor]] = field(default_factory=list)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Sees every stage. Weights are such that everything has a say, as in a network that has learned: timm
    starts with closed branches, and averages of batch norm that fit no slice. Ours are of what the network
    will see, slices and, when it is exported, noise: with other ones, layer after layer strays further, to
    numbers that are all rounding.
    """
    seen = Watched()
    build = run.build_classifier

    @cache  # drawing weights takes seconds
    def built(recipe: Recipe, classes: int) -> Classifier:
        classifier = build(recipe, classes)
        for module in classifier.backbone.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.constant_(module.weight, 0.5)
        slices = [np.asarray(slice_image(n % 4, n, recipe.preprocessing.size)) for n in range(8)]
        noise = np.random.default_rng(0).integers(0, 256, (8, *recipe.preprocessing.shape), dtype=np.uint8)
        pixels = torch.from_numpy(np.concatenate([slices, noise]))
        update_bn([Normalise(recipe.preprocessing)(pixels)], classifier.backbone)
        return classifier

    class Stage(StageTraining):
        def epochs(self, done: list[EpochMetrics]) -> Iterator[EpochMetrics]:
            seen.before.append(_copy(self.classifier))
            yield from super().epochs(done)
            seen.after.append(_copy(self.classifier))

    monkeypatch.setattr(run, "build_classifier", lambda *arguments: copy.deepcopy(built(*arguments)))
    monkeypatch.setattr(loop, "StageTraining", Stage)
    return seen


def _copy(classifier: Classifier) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in classifier.state_dict().items()}


@pytest.fixture
def catalog(make_source: Callable[..., Path]) -> Catalog:
    parts = {"Training": 5, "Testing": 1}
    return scan([make_source({f"{part}/{label}": n for part, n in parts.items() for label in LABELS})])


@pytest.mark.parametrize(
    "name",
    [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in recipe_names() if name not in QUICK)],
)
def test_contract(
    name: str, catalog: Catalog, watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = complete_recipe(load_recipe(name, tiny(name)))
    (parts,) = split(catalog, ["official"], validation_share=0.2)
    images = store(catalog.frame, recipe.preprocessing)
    trained = run.train(recipe, parts.for_task(recipe.task), images, tmp_path / "run")

    assert [row.stage for row in trained.history()] == list(range(len(recipe.stages)))
    for number in range(len(recipe.stages)):
        _check_changes(recipe, number, watched.before[number], watched.after[number])
    _check_reloading(trained, watched.after[-1])
    _check_export(trained, images.pixels)


def _network(recipe: Recipe) -> Classifier:
    return run.build_classifier(recipe, 2 if recipe.task == "binary" else 4)


def _check_changes(recipe: Recipe, number: int, before: dict[str, Tensor], after: dict[str, Tensor]) -> None:
    """Exactly the parameters that are not frozen change, and averages of batch norm that is in training."""
    stage = recipe.stages[number]
    classifier = _network(recipe)
    free = _free(classifier, stage.freeze)
    averages = before.keys() - dict(classifier.named_parameters()).keys()
    learning = {key.rpartition(".")[0] for key in free}
    moving = {
        key
        for key in averages
        if key.rpartition(".")[0] in learning and (stage.batch_norm == "train" or key.startswith("head."))
    }
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == free | moving


def _free(classifier: Classifier, freeze: str | float | None) -> set[str]:
    """What a stage should train, found by names and order alone."""
    parameters = [key for key, _ in classifier.named_parameters()]
    size = classifier.input_size
    layers = execution_order(classifier, torch.zeros(1, 3, size, size))
    backbone = [layer for layer in layers if layer.startswith("backbone.")]
    if freeze is None:
        frozen = []
    elif isinstance(freeze, str):
        last = max(n for n, layer in enumerate(layers) if f"{layer}.".startswith(f"{freeze}."))
        frozen = list(layers[: last + 1])
    else:
        frozen = backbone[: round(freeze * len(backbone))]
    assert len(frozen) < len(layers)
    return {key for key in parameters if key.rpartition(".")[0] not in frozen}


def _check_reloading(trained: Run, last: dict[str, Tensor]) -> None:
    """What is on disk is what was in memory, to equal logits."""
    network = _network(trained.recipe).eval()
    size = trained.recipe.preprocessing.input_size
    pictures = torch.rand(3, 3, size, size, generator=torch.Generator().manual_seed(0))
    logits = []
    for weights in (last, with_prefix(load_progress(trained.folder)[1], "model.")):
        network.load_state_dict(weights)
        with torch.inference_mode():
            logits.append(network(pictures))
    assert torch.equal(*logits)


def _check_export(trained: Run, pixels: np.ndarray) -> None:
    """ONNX Runtime gives the logits of the chosen weights, all test-time views included."""
    classifier = _network(trained.recipe)
    load_weights(trained.folder / "chosen.safetensors", classifier)
    deployed = DeployedNetwork(classifier, trained.recipe).eval()
    chosen = np.array(pixels[:5])
    with torch.inference_mode():
        expected = deployed(torch.from_numpy(chosen))[0].numpy()
    found = Engine(Bundle.load(trained.model))(chosen).logits
    assert found.shape == (5, len(trained.record.classes))
    assert np.abs(found - expected).max() <= 1e-4 * max(1.0, float(np.abs(expected).max()))
