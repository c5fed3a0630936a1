"""Slices with outlined lesions, and the saliency maps of a run for them."""

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
from gliascope.evaluation.localisation import PeakPositions, centre_of_head, locate_peak
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.inference.overlay import enlarge_map
from gliascope.io.slices import Slice
from gliascope.models.classifier import Normalise
from gliascope.models.weight_files import load_classifier
from gliascope.preprocessing.head import head_box
from gliascope.preprocessing.preprocess import Preprocessing, preprocess, to_grey, visible_box
from gliascope.recipes.run import Run
from gliascope.recipes.schema import TtaView
from gliascope.saliency.methods import SaliencyModel, saliency_maps
from gliascope.splits.split import load_splits

BATCH = 16
BASELINE = "centre_of_head"


@dataclass(frozen=True, slots=True, eq=False)
class LesionCase:
    """One slice with a lesion, with predictions and saliency maps.

    Parameters
    ----------
    slice
        The slice with its lesion mask.
    pixels
        The preprocessed slice, uint8 (size, size[, 3]).
    label
        Number of the class.
    probabilities
        float64 (classes,), of the deployed model.
    maps
        By method, float32 (height, width), not negative, of the square that the network sees.
    """

    slice: Slice
    pixels: NDArray[np.uint8]
    label: int
    probabilities: NDArray[np.float64]
    maps: dict[str, NDArray[np.float32]]

    @property
    def is_correct(self) -> bool:
        """Whether the model predicts the class of the slice."""
        return int(self.probabilities.argmax()) == self.label


class ExplainedModel:
    """The deployed model of a finished run, and its weights for saliency methods.

    Raises RunError if the run is unfinished or an ensemble, which has no weights of its own.
    """

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
        self.subject = SaliencyModel(
            load_classifier(trained).eval(),
            Normalise(self.preprocessing),
            averages_mirror_image=TtaView(flip=True) in trained.recipe.tta.views,
            predict_logits=lambda pixels: self.predict(pixels).logits,
        )

    def predict(self, pixels: NDArray[np.uint8]) -> Outputs:
        """Run the deployed model on preprocessed slices, batch by batch."""
        starts = range(0, len(pixels), BATCH)
        return Outputs.concatenate([self.engine(pixels[start : start + BATCH]) for start in starts])

    def class_probability(self, label: int) -> Callable[[NDArray[np.uint8]], NDArray[np.float64]]:
        """Return a function from preprocessed slices (n, …) to the probability of a class, float64 (n,)."""
        return lambda pixels: self.predict(pixels).probabilities[:, label]

    def class_number(self, label: str) -> int | None:
        """Return the class of a label; None if the run has no such class.

        Kinds of tumour become `tumor` if the run does not tell kinds apart.
        """
        if label not in self.classes and label in TUMOR_KINDS:
            label = "tumor"
        return self.classes.index(label) if label in self.classes else None

    def explain_slices(
        self, slices: Sequence[Slice], methods: Sequence[str], advance: Callable[[int], None]
    ) -> Iterator[LesionCase]:
        """Yield a case for each slice, with a map by each method; `advance` reports progress."""
        for first in range(0, len(slices), BATCH):
            items = slices[first : first + BATCH]
            pixels = np.stack([preprocess(item.pixels, self.preprocessing) for item in items])
            labels = np.array([self.class_number(item.label or "") for item in items], dtype=np.int64)
            outputs = self.engine(pixels)
            maps = {}
            for method in methods:
                if method == "grad_cam" and outputs.maps is not None:  # the maps of the deployed model
                    by_label = outputs.maps[np.arange(len(items)), labels]
                else:
                    by_label = saliency_maps(method, self.subject, pixels, labels)
                maps[method] = np.maximum(by_label, 0)
            for number, item in enumerate(items):
                each = {method: one[number] for method, one in maps.items()}
                yield LesionCase(
                    item, pixels[number], int(labels[number]), outputs.probabilities[number], each
                )
            advance(len(items))


def choose_slices(
    model: ExplainedModel, masks: Path, limit: int | None, training_hashes: set[str] | None
) -> tuple[list[Slice], dict[str, int]]:
    """Read the slices that are explained.

    Parameters
    ----------
    model
        The explained model.
    masks
        A table or folder of slices with lesion masks, as `masked_slices` reads it.
    limit
        Maximal number of slices; None for all.
    training_hashes
        Pixel hashes of slices that the run trained or validated on; None if these are not known.

    Returns
    -------
    tuple of list and dict
        The slices, sorted by file, and how many were excluded, by reason.

    Raises
    ------
    GliascopeError
        If the masks cannot be read, or no slice is left.
    """
    chosen: list[Slice] = []
    excluded = Counter[str]()
    for item in masked_slices(masks):
        if model.class_number(item.label or "") is None:
            excluded["of a class that the run does not know"] += 1
        elif training_hashes and pixel_hash(item.pixels) in training_hashes:
            excluded["trained or validated on"] += 1
        else:
            chosen.append(item)
        if len(chosen) == limit:
            break
    if not chosen:
        reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
        raise GliascopeError(
            f"{masks}: no slice with a lesion is left ({reasons or 'no mask marks any'}); "
            "give masks of other slices"
        )
    return sorted(chosen, key=lambda item: (str(item.path), item.index)), dict(excluded)


def training_hashes(trained: Run, split: Path | None) -> set[str] | None:
    """Return the pixel hashes of the slices that a run trained or validated on.

    Parameters
    ----------
    trained
        A run.
    split
        The split of the run; by default split.parquet beside the run.

    Returns
    -------
    set of str or None
        None if no split was given and there is none of this run beside it.

    Raises
    ------
    GliascopeError
        If the given split cannot be read, or is not that of the run.
    """
    try:
        for one in load_splits(split or trained.folder.parent / "split.parquet"):
            used = one.for_task(trained.recipe.task)
            if used.training_hash == trained.record.split:
                return {name for part in ("train", "val") for name in used.subset(part)["pixel_hash"]}
    except GliascopeError:
        if split is not None:
            raise
    if split is not None:
        raise RunError(
            f"{split}: {trained.folder} was trained on another split; give the split of this run, or leave "
            "--split out"
        )
    return None


def map_on_slice(case: LesionCase, method: str, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Return a method's map, or that of BASELINE, enlarged to the slice: float32 (height, width)."""
    shape = (case.slice.pixels.shape[0], case.slice.pixels.shape[1])
    if method == BASELINE:
        return centre_of_head(shape, head_box(to_grey(case.slice.pixels)))
    return enlarge_map(case.maps[method], shape, visible_box(case.slice.pixels, preprocessing))


def peak_positions(cases: Sequence[LesionCase], method: str, preprocessing: Preprocessing) -> PeakPositions:
    """Return where the maps of a method have their peaks, for all cases."""
    measured = []
    for case in cases:
        assert case.slice.mask is not None  # noqa: S101 (`masked_slices` gives none without)
        measured.append(locate_peak(map_on_slice(case, method, preprocessing), case.slice.mask))
    distance, energy = np.array(measured, dtype=np.float64).T
    return PeakPositions(distance, energy)
