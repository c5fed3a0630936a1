"""Slices with outlined lesions, and where a Run's saliency maps lie on them."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gliascope.classes import TUMOR_KINDS
from gliascope.dataset.lesion_masks import masked_slices
from gliascope.dataset.scan import pixel_hash
from gliascope.errors import GliascopeError, RunError
from gliascope.evaluation.localisation import Points, centre_of_head, locate
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.overlay import enlarge_map
from gliascope.io.slices import Slice
from gliascope.models.classifier import Normalise
from gliascope.preprocessing.head import head_box
from gliascope.preprocessing.preprocess import Preprocessing, preprocess, to_grey, visible_box
from gliascope.recipes.run import Run
from gliascope.recipes.schema import TestView
from gliascope.saliency.methods import Subject, explain
from gliascope.splits.split import load_splits
from gliascope.training.checkpoints import load_classifier

BATCH = 16
BASELINE = "centre_of_head"


@dataclass(frozen=True, slots=True, eq=False)
class LesionCase:
    """One slice with a lesion, and what was computed of it.

    pixels: preprocessed. label: class number. probabilities: (classes,), of the deployed model.
    maps: by method, (h, w), of the square that the network sees, nothing below 0.
    """

    slice: Slice
    pixels: NDArray[np.uint8]
    label: int
    probabilities: NDArray[np.float64]
    maps: dict[str, NDArray[np.float32]]

    @property
    def is_correct(self) -> bool:
        """Whether the model says the slice's class."""
        return int(self.probabilities.argmax()) == self.label


class ExplainedModel:
    """A finished Run: its deployed model, and its weights for what needs them. Raises RunError for others."""

    def __init__(self, trained: Run) -> None:
        trained.check_finished()
        if trained.record.ensemble is not None:
            raise RunError(
                f"{trained.folder}: is an ensemble, without weights of its own; explain its members"
            )
        bundle = Bundle.load(trained.model)
        self.trained = trained
        self.classes = bundle.info.classes
        self.preprocessing: Preprocessing = bundle.info.preprocessing
        self.engine = Engine(bundle)
        self.subject = Subject(
            load_classifier(trained).eval(),
            Normalise(self.preprocessing),
            mirrored=TestView(flip=True) in trained.recipe.tta.views,
            logits=lambda pixels: self.predict(pixels).logits,
        )

    def predict(self, pixels: NDArray[np.uint8]) -> Outputs:
        """The deployed model's outputs for preprocessed slices, a batch at a time."""
        starts = range(0, len(pixels), BATCH)
        return Outputs.join([self.engine(pixels[start : start + BATCH]) for start in starts])

    def class_probability(self, label: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
        """What gives preprocessed slices (n, …) the deployed model's probability of a class, (n,)."""
        return lambda pixels: self.predict(pixels).probabilities[:, label]

    def class_number(self, label: str) -> int | None:
        """Of a slice's label, a kind of tumour being one where the run knows no kinds; None: no class."""
        if label not in self.classes and label in TUMOR_KINDS:
            label = "tumor"
        return self.classes.index(label) if label in self.classes else None

    def explain_slices(
        self, slices: Sequence[Slice], methods: Sequence[str], advance: Callable[[int], None]
    ) -> Iterator[LesionCase]:
        """Cases of these slices, whose labels are all known, with a map by each method."""
        for first in range(0, len(slices), BATCH):
            items = slices[first : first + BATCH]
            pixels = np.stack([preprocess(item.pixels, self.preprocessing) for item in items])
            labels = np.array([self.class_number(item.label or "") for item in items], dtype=np.int64)
            outputs = self.engine(pixels)
            maps = {}
            for method in methods:
                if method == "grad_cam" and outputs.maps is not None:  # what is deployed
                    found = outputs.maps[np.arange(len(items)), labels]
                else:
                    found = explain(method, self.subject, pixels, labels)
                maps[method] = np.maximum(found, 0)
            for number, item in enumerate(items):
                each = {method: one[number] for method, one in maps.items()}
                yield LesionCase(
                    item, pixels[number], int(labels[number]), outputs.probabilities[number], each
                )
            advance(len(items))


def choose_slices(
    model: ExplainedModel, masks: Path, limit: int | None, training_hashes: set[str] | None
) -> tuple[list[Slice], dict[str, int]]:
    """Slices to look at, at most `limit`, and how many were met and left out, by reason.

    learned: pixel hashes that the run trained or validated on. Raises as `masked_slices`, and GliascopeError
    where nothing is left.
    """
    kept: list[Slice] = []
    dropped = Counter[str]()
    for item in masked_slices(masks):
        if model.class_number(item.label or "") is None:
            dropped["of a class that the run does not know"] += 1
        elif training_hashes and pixel_hash(item.pixels) in training_hashes:
            dropped["trained or validated on"] += 1
        else:
            kept.append(item)
        if len(kept) == limit:
            break
    if not kept:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        raise GliascopeError(
            f"{masks}: no slice with a lesion is left ({reasons or 'no mask marks any'}); "
            "give masks of other slices"
        )
    return sorted(kept, key=lambda item: (str(item.path), item.index)), dict(dropped)


def training_hashes(trained: Run, split: Path | None) -> set[str] | None:
    """Pixel hashes of what a run trained and validated on: by `split`, else by the split.parquet beside it.

    None where that is not known. Raises GliascopeError where the given split is not readable, or not the
    run's.
    """
    try:
        for one in load_splits(split or trained.folder.parent / "split.parquet"):
            used = one.for_task(trained.recipe.task)
            if used.training == trained.record.split:
                return {name for part in ("train", "val") for name in used.subset(part)["pixel_hash"]}
    except GliascopeError:
        if split is not None:
            raise
    if split is not None:
        raise RunError(f"{split}: {trained.folder} was trained on another split; give its own, or none")
    return None


def map_on_slice(case: LesionCase, method: str, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The method's map, or BASELINE's, (height, width) of the slice."""
    shape = (case.slice.pixels.shape[0], case.slice.pixels.shape[1])
    if method == BASELINE:
        return centre_of_head(shape, head_box(to_grey(case.slice.pixels)))
    return enlarge_map(case.maps[method], shape, visible_box(case.slice.pixels, preprocessing))


def peak_positions(cases: Sequence[LesionCase], method: str, preprocessing: Preprocessing) -> Points:
    """Where a method's maps of all cases lie."""
    found = []
    for case in cases:
        assert case.slice.mask is not None  # noqa: S101 (`masked_slices` gives none without)
        found.append(locate(map_on_slice(case, method, preprocessing), case.slice.mask))
    distance, energy = np.array(found, dtype=np.float64).T
    return Points(distance, energy)
