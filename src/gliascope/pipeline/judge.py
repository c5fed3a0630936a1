"""Run + Split in, Judge out: what a Run's model is worth, fitted on its own slices and kept in it."""

import os
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from gliascope.data.split import Split
from gliascope.data.store import Store
from gliascope.data.validation import divide
from gliascope.evaluation.calibration import fit_temperature
from gliascope.evaluation.conformal import LEVELS, conformity, highest_level, needed
from gliascope.evaluation.outliers import Subspace, fit_subspace
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine
from gliascope.inference.judge import (
    PARTS,
    SPACES,
    Judge,
    JudgeInfo,
    SpaceInfo,
    calibrated,
    distances,
    fit_units,
)
from gliascope.pages.formats import uses_of_validation
from gliascope.pipeline.model import Memory
from gliascope.progress import note
from gliascope.recipes.run import Run

LEVEL = LEVELS[0]
METHOD: Literal["lac"] = "lac"  # the smallest sets of the three; see docs/trust.md
REFERENCES = 2000  # training slices that distances are measured from


def judge(trained: Run, images: Store, split: Split) -> None:
    """Fit a Judge and write it into the run's model, unless it has one or another process of ours does.

    On validation slices that neither trained nor chose: where none are left, the model stays unchecked.
    """
    # Under torchrun, every process comes here; the first has exported the model.
    if int(os.environ.get("RANK", "0")):
        return
    bundle = Bundle.load(trained.model)
    if bundle.info.judge is not None:
        return
    validation = divide(split.frame, trained.chooses)
    if trained.chooses or not validation.dropped.is_empty():
        note(f"{trained.model}: {uses_of_validation(validation.facts)}")
    if validation.calibrating.is_empty():
        more = _what_helps(trained.chooses)
        note(f"{trained.model}: no slice is left to calibrate on, so its findings stay unchecked; {more}")
        return
    bundle.with_judge(fit_judge(bundle, images, split, trained.chooses)).write(trained.model)


def fit_judge(bundle: Bundle, images: Store, split: Split, chooses: bool) -> Judge:
    """Temperature, prediction sets and threshold from validation slices; distances from training slices.

    From those alone that neither trained nor chose; chooses: as `validation.uses`. The store holds the
    split's slices under the bundle's preprocessing.
    """
    answers = Memory(images, Engine(bundle))
    frame = divide(split.frame, chooses).calibrating
    validation = answers(frame, "val")
    labels = np.searchsorted(split.classes, frame["label"].to_list()).astype(np.int64)
    groups = frame["group"].to_numpy()
    count = len(np.unique(groups))
    temperature = fit_temperature(validation.logits, labels, count)
    level = highest_level(count, LEVEL)
    if count < needed(LEVEL):
        note(f"{_too_few(count, level)}; {_what_helps(chooses)}")
    probabilities = calibrated(validation.logits, temperature)
    fit = conformity(Scores(probabilities, labels, groups, split.classes), level)
    known = answers(_drawn(split), "training")
    spaces = {name: fit_subspace(known.looks[name]) for name in SPACES}
    units = fit_units(
        [
            distances(validation.looks[name], **_arrays(space), noise=space.noise)
            for name, space in spaces.items()
        ]
    )
    info = JudgeInfo(
        temperature=temperature,
        method=METHOD,
        level=level,
        penalty=fit.penalty,
        free=fit.free,
        spaces={
            name: SpaceInfo(noise=space.noise, unit=unit)
            for (name, space), unit in zip(spaces.items(), units, strict=True)
        },
        references=len(known.logits),
    )
    arrays = {
        f"{name}.{part}": array for name, space in spaces.items() for part, array in _arrays(space).items()
    }
    return Judge(info, {"lac": fit.lac, "aps": fit.aps, "raps": fit.raps, **arrays})


def _arrays(space: Subspace) -> dict[str, NDArray[np.float32]]:
    return {part: getattr(space, part) for part in PARTS}


def _drawn(split: Split) -> pl.DataFrame:
    """Up to REFERENCES distinct training slices, the same on every machine."""
    distinct = split.part("train").unique("pixel_hash").sort("pixel_hash")
    drawn = np.random.default_rng(0).permutation(distinct.height)[:REFERENCES]
    return distinct[np.sort(drawn)]


def _too_few(groups: int, level: float) -> str:
    least = needed(LEVEL)
    if groups >= needed(level):
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
