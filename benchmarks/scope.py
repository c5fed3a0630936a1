"""What is out of scope: which outlier score was chosen and why, and what the deployed one does.

Needs what `masoud7023` or `crossval` made, and scikit-image for its pictures.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors

from benchmarks.jobs import CROSSVAL, OUT
from benchmarks.measure import Row
from benchmarks.strangers import Kinds, Picture, chosen_on, judged_on, package_files, readable
from gliascope.commands.calibrate import MAX_TRAINING_SLICES
from gliascope.inference.bundle import Bundle
from gliascope.inference.engine import Engine, Outputs
from gliascope.preprocessing.preprocess import preprocess
from gliascope.recipes.run import Run
from gliascope.splits.split import Split, load_splits
from gliascope.uncertainty.calibrator import Calibrator
from gliascope.uncertainty.features import OOD_FEATURES, OodFeature
from gliascope.uncertainty.ood import ACCEPTANCE, fit_ood_scorer

Score = Callable[[Outputs], NDArray[np.float64]]
CHANGED = 80  # slices that are turned, blurred …
TESTED = 300  # slices of a fold
# Heads, or what may be one; the others of pydicom's and nibabel's files are none, or no MR.
MAY_BE_HEADS = ("MR", "anat", "0.dcm", "1.dcm", "standard.nii", "examples_overlay", "dicomdirtests/98892003")


def scope(data: Path, work: Path) -> list[Row]:
    bundle = Bundle.load(work / OUT / "bundle")
    splits = {split.protocol: split for split in load_splits(work / OUT / "split.parquet")}
    clean, answer = splits["official-clean"], _answers(bundle)
    validation = answer(_slices(clean, "val", data))
    known = answer(_slices(clean, "train", data, MAX_TRAINING_SLICES))
    rows = _choice(known, validation, answer, chosen_on(_slices(clean, "val", data, CHANGED)))
    assert bundle.calibrator is not None
    test = answer(_slices(clean, "test", data))
    others = judged_on(_slices(clean, "test", data, CHANGED), data, work)
    return rows + _deployed("scope", bundle.calibrator, test, answer, others)


def scope_of_folds(data: Path, work: Path) -> list[Row]:
    """What the Calibrator of each fold's model does with some of its test slices, and with all else."""
    splits = load_splits(work / CROSSVAL / "split.parquet")
    rows = []
    for place in sorted(path.parent for path in (work / CROSSVAL).glob("*/run.json")):
        bundle = Bundle.load(place / "model")
        answer, trained_on = _answers(bundle), Run.load(place).record.split
        split = next(one for one in splits if one.training_hash == trained_on)
        others = judged_on(_slices(split, "test", data, CHANGED), data, work)
        assert bundle.calibrator is not None
        test = answer(_slices(split, "test", data, TESTED))
        rows += _deployed(f"scope, {split.fold_name}", bundle.calibrator, test, answer, others)
    return rows


def _answers(bundle: Bundle) -> Callable[[list[Picture]], Outputs]:
    engine = Engine(bundle)

    def answer(pictures: list[Picture]) -> Outputs:
        prepared = np.stack([preprocess(pixels, bundle.info.preprocessing) for pixels in pictures])
        return Outputs.concatenate(
            [engine(prepared[start : start + 32]) for start in range(0, len(prepared), 32)]
        )

    return answer


def _slices(split: Split, part: str, data: Path, count: int | None = None) -> list[Picture]:
    frame = split.subset(part).unique("pixel_hash").sort("pixel_hash")
    chosen = frame if count is None or count >= frame.height else frame.sample(count, seed=0)
    return [pixels for path in chosen["path"] for pixels in readable(data / path)]


def _choice(
    known: Outputs, validation: Outputs, answer: Callable[[list[Picture]], Outputs], kinds: Kinds
) -> list[Row]:
    """By candidate: how well it tells validation slices from each kind of other picture."""
    others = {kind: answer(pictures) for kind, pictures in kinds.items()}
    rows = []
    for name, score in _candidates(known, validation).items():
        inside = score(validation)
        threshold = np.quantile(inside, ACCEPTANCE)
        outside = {kind: score(outputs) for kind, outputs in others.items()}
        areas = {kind: _auroc(inside, found) for kind, found in outside.items()}
        worst = min(areas, key=lambda kind: areas[kind])
        refused = np.mean([(found > threshold).mean() for found in outside.values()])
        told = (
            f"{np.mean(list(areas.values())):.4f}; lowest {areas[worst]:.3f} ({worst}); {refused:.1%} refused"
        )
        rows.append((f"scope, chosen by: {name}: mean AUROC of {len(kinds)} kinds", told, ""))
    return rows


def _candidates(known: Outputs, validation: Outputs) -> dict[str, Score]:
    """Scores fitted on training slices; higher is stranger."""
    features, said = known.ood_features["network"].astype(np.float64), known.logits.argmax(axis=1)
    means = np.stack([features[said == number].mean(axis=0) for number in np.unique(said)])
    own = np.searchsorted(np.unique(said), said)
    spread = features.std(axis=0) + 1e-6
    return {
        "energy of logits (Liu et al. 2020)": lambda outputs: -np.logaddexp.reduce(outputs.logits, axis=1),
        "nearest neighbour, unit length (Sun et al. 2022)": _nearest(features, 1.0),
        "nearest neighbour, standardised, unit length": _nearest(features, spread),
        "Mahalanobis by class, Ledoit-Wolf (Lee et al. 2018)": _mahalanobis(features, means, own),
        "Mahalanobis, Ledoit-Wolf": _mahalanobis(features, features.mean(axis=0, keepdims=True), own * 0),
        "Mahalanobis, probabilistic components": _components(known, validation, ("network",)),
        "the same of grey levels": _components(known, validation, ("grey_levels",)),
        "the same of layout": _components(known, validation, ("layout",)),
        "features and grey levels": _components(known, validation, ("network", "grey_levels")),
        "features and layout": _components(known, validation, ("network", "layout")),
        "features, grey levels and layout (deployed)": _components(known, validation, OOD_FEATURES),
    }


def _nearest(features: NDArray[np.float64], scale: NDArray[np.float64] | float) -> Score:
    def unit(values: NDArray[np.floating]) -> NDArray[np.float64]:
        scaled = values / scale
        return scaled / np.linalg.norm(scaled, axis=1, keepdims=True)

    fitted = NearestNeighbors(n_neighbors=1).fit(unit(features))
    return lambda outputs: fitted.kneighbors(unit(outputs.ood_features["network"]))[0][:, 0]


def _mahalanobis(features: NDArray[np.float64], means: NDArray[np.float64], own: NDArray[np.int64]) -> Score:
    precision = LedoitWolf(assume_centered=True).fit(features - means[own]).precision_

    def score(outputs: Outputs) -> NDArray[np.float64]:
        away = [outputs.ood_features["network"] - mean for mean in means]
        return np.min([((one @ precision) * one).sum(axis=1) for one in away], axis=0)

    return score


def _components(known: Outputs, validation: Outputs, names: Sequence[OodFeature]) -> Score:
    """The deployed distance, in these features together."""
    training, inside = ({name: one.ood_features[name] for name in names} for one in (known, validation))
    scorer = fit_ood_scorer(training, inside)
    return lambda outputs: scorer.outlier_scores(outputs.ood_features)


def _deployed(
    what: str, calibrator: Calibrator, test: Outputs, answer: Callable[[list[Picture]], Outputs], kinds: Kinds
) -> list[Row]:
    """What a Calibrator does with test slices, and with everything else."""
    inside = calibrator.ood.outlier_scores(test.ood_features)
    rows = [(f"{what}: test slices in scope", f"{(inside <= 1).mean():.1%} of {len(inside)}", "≥ 94 %")]
    aims = dict.fromkeys(("natural photos", "noise", "blank", "text pages"), "≥ 0.99") | {"CT": "≥ 0.95"}
    for kind, pictures in kinds.items():
        outside = calibrator.ood.outlier_scores(answer(pictures).ood_features)
        told = (
            f"AUROC {_auroc(inside, outside):.4f}; {(outside > 1).mean():.1%} of {len(outside)} out of scope"
        )
        rows.append((f"{what}: {kind}", told, aims.get(kind, "")))
    return rows + _files(what, calibrator, answer)


def _files(what: str, calibrator: Calibrator, answer: Callable[[list[Picture]], Outputs]) -> list[Row]:
    """pydicom's and nibabel's own: a file is out of scope if all its slices are."""
    found = {
        name: calibrator.ood.outlier_scores(answer(slices).ood_features) > 1
        for name, slices in package_files().items()
    }
    heads = {name for name in found if any(mark in name for mark in MAY_BE_HEADS)}
    rows = []
    for kind, names, aim in (("no head MR", set(found) - heads, "all"), ("perhaps head MR", heads, "")):
        inside = sorted(name for name in names if not found[name].all())
        missed = f"; in scope: {', '.join(inside)}" if inside else ""
        told = f"{len(names) - len(inside)} of {len(names)} out of scope{missed}"
        rows.append((f"{what}: files of pydicom and nibabel, {kind}", told, aim))
    return rows


def _auroc(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float:
    labels = np.repeat([0, 1], [len(inside), len(outside)])
    return float(roc_auc_score(labels, np.concatenate([inside, outside])))
