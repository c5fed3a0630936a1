"""Fit the calibrator of a finished run and write it into the run's model."""

import os

import numpy as np
import polars as pl

from gliascope.commands.evaluated_model import CachedOutputs
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.recipes.run import Run
from gliascope.runtime.progress import note
from gliascope.splits.split import Split
from gliascope.splits.validation import describe_validation_use, divide_validation
from gliascope.store.store import Store
from gliascope.uncertainty.calibrator import Calibrator, fit_calibrator
from gliascope.uncertainty.conformal import LEVELS, groups_needed, highest_level

LEVEL = LEVELS[0]  # of the prediction sets, unless too few groups calibrate
MAX_TRAINING_SLICES = 2000  # reference of the out-of-distribution scores


def calibrate(trained: Run, images: Store, split: Split) -> None:
    """Fit a calibrator and write it into the model of a run, unless the model has one already.

    The calibrator is fitted on validation slices that neither trained the model nor chose an epoch or a
    setting. If there are none, the model gets no calibrator and its findings are `unchecked`. Under torchrun,
    only the first process does anything.

    Parameters
    ----------
    trained
        A run whose model is exported.
    images
        The slices of the split under the run's preprocessing.
    split
        The split that the run was trained on, with the run's labels.
    """
    if int(os.environ.get("RANK", "0")):
        return
    bundle = Bundle.load(trained.model)
    if bundle.info.calibrator is not None:
        return
    validation = divide_validation(split.frame, trained.selects_on_validation)
    if trained.selects_on_validation or not validation.dropped.is_empty():
        note(f"{trained.model}: {describe_validation_use(validation.counts)}")
    if validation.calibrating.is_empty():
        more = _what_helps(trained.selects_on_validation)
        note(f"{trained.model}: no slice is left to calibrate on, so its findings stay unchecked; {more}")
        return
    calibrator = fit_calibrator_on_split(bundle, images, split, trained.selects_on_validation)
    bundle.with_calibrator(calibrator).write(trained.model)


def fit_calibrator_on_split(
    bundle: Bundle, images: Store, split: Split, is_validation_chosen: bool
) -> Calibrator:
    """Fit a calibrator for the model of a bundle.

    Temperature, prediction sets and the scales of the out-of-distribution scores are fitted on the validation
    slices that `divide_validation` reserves for calibration; the subspaces of the scores are fitted on
    training slices.

    Parameters
    ----------
    bundle
        The bundle that holds the model.
    images
        The slices of the split under the bundle's preprocessing.
    split
        The split that the model was trained on.
    is_validation_chosen
        Whether the other validation slices chose an epoch or a setting.
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
        training_features=outputs_of(_sample_training(split), "training").ood_features,
        level=level,
    )


def _sample_training(split: Split) -> pl.DataFrame:
    """Draw up to MAX_TRAINING_SLICES distinct training slices, the same on every machine."""
    distinct = split.subset("train").unique("pixel_hash").sort("pixel_hash")
    rows = np.random.default_rng(0).permutation(distinct.height)[:MAX_TRAINING_SLICES]
    return distinct[np.sort(rows)]


def _too_few(groups: int, level: float) -> str:
    """Describe what too few calibrating groups mean for the prediction sets."""
    needed = groups_needed(LEVEL)
    if groups >= groups_needed(level):
        return (
            f"only {groups} groups are left to calibrate on, and prediction sets at {LEVEL:.0%} need "
            f"{needed}, so these are made at {level:.0%}"
        )
    return (
        f"only {groups} groups are left to calibrate on, too few for prediction sets (at {LEVEL:.0%}, these "
        f"need {needed}): every prediction set holds all classes, and no finding is accepted"
    )


def _what_helps(chooses: bool) -> str:
    """Name the remedies. More slices are none, for all slices of a patient count as one group."""
    more = "add patients, or raise --validation where validation is cut from a training folder"
    return f"{more}, or use a recipe that chooses nothing by validation" if chooses else more
