"""Test a run's deployed model on corrupted test slices."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from gliascope.commands.corrupted_slices import (
    CONDITIONS,
    CorruptedPredictions,
    corrupt,
    predict_corrupted,
    read_original,
    sample_test_slices,
)
from gliascope.commands.figures import write_pngs
from gliascope.commands.run_splits import splits_of_run
from gliascope.dataset.catalog import Catalog
from gliascope.errors import GliascopeError, RunError
from gliascope.evaluation.robustness import RobustnessMetrics, VerdictScores, evaluate_corrupted
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.recipes.run import Run
from gliascope.reports.pages.robustness import CorruptedExample, figures, write_robustness
from gliascope.reports.robustness import Corruption, Robustness, RobustnessRun, Strength, worst_strength
from gliascope.robustness.corruptions import CORRUPTIONS
from gliascope.runtime.files import check_writable
from gliascope.runtime.progress import progress
from gliascope.splits.ledger import ledger_entry, record
from gliascope.splits.split import Split
from gliascope.uncertainty.calibrator import ACCEPTED, VERDICTS

LIMIT = 300


def robustness(
    trained: Run, catalog: Catalog, splits: Sequence[Split], folder: Path, *, limit: int = LIMIT
) -> None:
    """Corrupt test slices by every entry of CORRUPTIONS and test the deployed model on them.

    Writes robustness.html, robustness.json and figures. The pixels are corrupted as the files hold them, and
    then preprocessed and predicted as usual. Files that cannot be read or have changed are excluded and
    counted.

    Parameters
    ----------
    trained
        A finished run.
    catalog
        The catalogue that the run was trained on.
    splits
        Splits of the catalogue; the first one that the run was trained on is tested.
    folder
        Where the results are written.
    limit
        Maximal number of test slices, drawn by the recipe's seed.

    Raises
    ------
    RunError
        If the run is unfinished, or no split leaves a slice to test.
    GliascopeError
        If the catalogue is another one, or no file can be read.
    """
    trained.check_finished()
    check_writable(folder)
    bundle, split, seed = Bundle.load(trained.model), _own(trained, catalog, splits), trained.recipe.seed
    frame = sample_test_slices(split, catalog, limit, seed)
    excluded = Counter[str]()
    predictions = list(predict_corrupted(bundle, frame, seed, excluded))
    if not predictions:
        reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
        raise GliascopeError(f"none of {frame.height} test slices can be used ({reasons}); scan them again")
    by_condition = _by_condition(bundle, frame, predictions)
    record(folder, [ledger_entry("robustness", trained.recipe.name, bundle.info.model_sha256, split)])
    metrics = _evaluate(by_condition)
    examples = _by_corruption(_example(bundle, frame, predictions, by_condition[0], seed=seed))
    data = Robustness(
        title=f"{trained.recipe.name}, corrupted",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=RobustnessRun(
            recipe=trained.recipe.name, folder=str(trained.folder), protocol=split.protocol, seed=seed
        ),
        slices=len(predictions),
        groups=by_condition[0].scores.group_count,
        test_slices=split.subset("test").height,
        excluded=dict(sorted(excluded.items())),
        has_verdicts=bundle.calibrator is not None,
        clean=metrics[0],
        corruptions=_corruptions(metrics),
    )
    write_pngs(folder, figures(data, examples))
    write_robustness(folder, data, examples)


def _own(trained: Run, catalog: Catalog, splits: Sequence[Split]) -> Split:
    """Return the first split of the run that leaves a slice to test, with the run's labels."""
    own = [split.for_task(trained.recipe.task) for split in splits_of_run(trained, splits, catalog)]
    tested = [split for split in own if not split.subset("test").is_empty()]
    if not tested:
        raise RunError(
            f"{trained.folder}: its split leaves no slice to test; test the members of the ensemble"
        )
    return tested[0]


def _by_condition(
    bundle: Bundle, frame: pl.DataFrame, predictions: Sequence[CorruptedPredictions]
) -> list[VerdictScores]:
    """Return probabilities, labels and verdicts of all slices, under each of CONDITIONS."""
    rows = frame[[one.row for one in predictions]]
    classes = bundle.info.classes
    labels = np.array([classes.index(label) for label in rows["label"]], dtype=np.int64)
    groups = rows["group"].to_numpy()
    return [
        VerdictScores(
            Scores(np.stack([one.probabilities[number] for one in predictions]), labels, groups, classes),
            [one.verdicts[number] for one in predictions] if bundle.calibrator else None,
        )
        for number in range(len(CONDITIONS))
    ]


def _evaluate(by_condition: Sequence[VerdictScores]) -> list[RobustnessMetrics]:
    """Compute the metrics under each of CONDITIONS."""
    metrics = []
    with progress("intervals", len(CONDITIONS)) as advance:
        for one in by_condition:
            metrics.append(evaluate_corrupted(one, by_condition[0], VERDICTS))
            advance(1)
    return metrics


def _corruptions(metrics: Sequence[RobustnessMetrics]) -> dict[str, Corruption]:
    """Sort the metrics, which are in the order of CONDITIONS, by corruption."""
    corruptions = {}
    for name, known in CORRUPTIONS.items():
        strengths = tuple(
            Strength(**dict(metrics[at]), strength=strength, setting=known.strength_format.format(strength))
            for at, (condition, strength) in enumerate(CONDITIONS)
            if condition == name
        )
        corruptions[name] = Corruption(
            title=known.title,
            imitates=known.description,
            worst=worst_strength(strengths),
            strengths=strengths,
        )
    return corruptions


def _by_corruption(examples: Sequence[CorruptedExample]) -> dict[str, list[CorruptedExample]]:
    """Sort the examples, which are in the order of CONDITIONS, by corruption; the clean one comes first."""
    clean, *_ = examples
    return {
        name: [
            clean,
            *(one for one, (condition, _) in zip(examples, CONDITIONS, strict=True) if condition == name),
        ]
        for name in CORRUPTIONS
    }


def _example(
    bundle: Bundle,
    frame: pl.DataFrame,
    predictions: Sequence[CorruptedPredictions],
    clean: VerdictScores,
    *,
    seed: int,
) -> list[CorruptedExample]:
    """Return one slice under each of CONDITIONS.

    The slice is the first one that is predicted correctly, is accepted and has a tumour, if there is one.
    """
    classes = bundle.info.classes

    def fitness(number: int) -> int:
        label = classes[clean.scores.labels[number]]
        accepted = clean.verdicts is None or clean.verdicts[number] == ACCEPTED
        return 4 * bool(clean.scores.correct[number]) + 2 * accepted + bool(label != "no_tumor")

    number = max(range(len(predictions)), key=fitness)
    one, label = predictions[number], int(clean.scores.labels[number])
    return [
        CorruptedExample(
            pixels,
            label=classes[label],
            predicted=classes[int(probabilities.argmax())],
            probability=float(probabilities.max()),
            verdict=verdict if bundle.calibrator else None,
        )
        for pixels, probabilities, verdict in zip(
            corrupt(read_original(frame, one.row), seed), one.probabilities, one.verdicts, strict=True
        )
    ]
