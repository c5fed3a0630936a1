"""Run + Store + Split in, Calibrator out, fitted on slices of the Run's own split and kept in its model."""

import os

import numpy as np
import polars as pl

from gliascope.commands.evaluated_model import CachedOutputs
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.recipes.run import Run
from gliascope.runtime.progress import note
from gliascope.splits.split import Split
from gliascope.splits.validation import divide_validation, uses_of_validation
from gliascope.store.store import Store
from gliascope.uncertainty.calibrator import Calibrator, fit_calibrator
from gliascope.uncertainty.conformal import LEVELS, groups_needed, highest_level

LEVEL = LEVELS[0]
TRAINING_SLICES = 2000  # at most, that outlier scores are distances from


def calibrate(trained: Run, images: Store, split: Split) -> None:
    """Fit a Calibrator and write it into the Run's model, unless the model has one.

    It is fitted on validation slices that neither trained nor chose. Where none are left, the model keeps
    none, and its findings are `unchecked`. Under torchrun, only the first process does anything.

    Parameters
    ----------
    trained : Run
        A Run whose model is exported.
    images : Store
        The split's slices under the Run's preprocessing.
    split : Split
        The one that the Run trained on, with the Run's labels.
    """
    if int(os.environ.get("RANK", "0")):
        return
    bundle = Bundle.load(trained.model)
    if bundle.info.calibrator is not None:
        return
    validation = divide_validation(split.frame, trained.is_validation_chosen)
    if trained.is_validation_chosen or not validation.dropped.is_empty():
        note(f"{trained.model}: {uses_of_validation(validation.facts)}")
    if validation.calibrating.is_empty():
        more = _what_helps(trained.is_validation_chosen)
        note(f"{trained.model}: no slice is left to calibrate on, so its findings stay unchecked; {more}")
        return
    calibrator = fit_calibrator_on_split(bundle, images, split, trained.is_validation_chosen)
    bundle.with_calibrator(calibrator).write(trained.model)


def fit_calibrator_on_split(
    bundle: Bundle, images: Store, split: Split, is_validation_chosen: bool
) -> Calibrator:
    """Fit a Calibrator of a bundle's graph, on a store that holds the split's slices as the graph takes them.

    Temperature, prediction sets and scales are fitted on the validation slices that calibrate
    (`data.validation.divide`), subspaces on training slices. chooses: whether the other validation slices
    chose an epoch or a setting.
    """
    outputs_of = CachedOutputs(images, Engine(bundle))
    frame = divide_validation(split.frame, is_validation_chosen).calibrating
    groups = frame["group"].to_numpy()
    count = len(np.unique(groups))
    level = highest_level(count, LEVEL)
    if count < groups_needed(LEVEL):
        note(f"{_too_few(count, level)}; {_what_helps(is_validation_chosen)}")
    validation = outputs_of(frame, "val")
    return fit_calibrator(
        logits=validation.logits,
        labels=np.searchsorted(split.classes, frame["label"].to_list()).astype(np.int64),
        groups=groups,
        features=validation.ood_features,
        training_features=outputs_of(_drawn(split), "training").ood_features,
        level=level,
    )


def _drawn(split: Split) -> pl.DataFrame:
    """Up to TRAINING_SLICES distinct training slices, the same on every machine."""
    distinct = split.subset("train").unique("pixel_hash").sort("pixel_hash")
    drawn = np.random.default_rng(0).permutation(distinct.height)[:TRAINING_SLICES]
    return distinct[np.sort(drawn)]


def _too_few(groups: int, level: float) -> str:
    least = groups_needed(LEVEL)
    if groups >= groups_needed(level):
        return (
            f"{groups} groups calibrate, and prediction sets at {LEVEL:.0%} need {least}: "
            f"they are made at {level:.0%}"
        )
    return (
        f"{groups} groups calibrate, too few for prediction sets (at {LEVEL:.0%} they need {least}): "
        f"they hold all classes, and no finding is accepted"
    )


def _what_helps(chooses: bool) -> str:
    """Not more slices: those of one patient count once."""
    more = "what helps is more patients, or a larger --validation where it is cut from a training folder"
    return f"{more}, or a recipe that chooses nothing in validation" if chooses else more
