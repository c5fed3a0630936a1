"""A Run and disturbed test slices in, robustness.html out."""

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
from gliascope.evaluation.robustness import Judged, RobustnessMetrics, evaluate_disturbed
from gliascope.evaluation.scores import Scores
from gliascope.inference.bundle import Bundle
from gliascope.recipes.run import Run
from gliascope.reports.pages.robustness import Answer, figures, write_robustness
from gliascope.reports.robustness import Corruption, Robustness, RobustnessRun, Strength, worst_strength
from gliascope.robustness.corruptions import CORRUPTIONS
from gliascope.runtime.files import check_writable
from gliascope.runtime.progress import progress
from gliascope.splits.ledger import ledger_entry, record
from gliascope.splits.split import Split
from gliascope.uncertainty.calibrator import ACCEPTED, VERDICTS

LIMIT = 300


def robustness(
    trained: Run, catalog: Catalog, splits: Sequence[Split], folder: Path, limit: int = LIMIT
) -> None:
    """Disturb test slices by DISTURBANCES and test the deployed model on them.

    Writes robustness.html, robustness.json and figures. Slices are disturbed as their files hold them; the
    rest is the one prediction path. The first of `splits` that the run was trained on is tested, on at most
    `limit` slices, drawn by the recipe's seed; files that cannot be read or have changed are set aside and
    counted. Raises RunError for an unfinished run, or none of whose splits leaves a slice to test;
    GliascopeError for another catalogue, or where no file can be read.
    """
    trained.check_finished()
    check_writable(folder)
    bundle, split, seed = Bundle.load(trained.model), _own(trained, catalog, splits), trained.recipe.seed
    frame = sample_test_slices(split, catalog, limit, seed)
    excluded = Counter[str]()
    answered = list(predict_corrupted(bundle, frame, seed, excluded))
    if not answered:
        reasons = ", ".join(f"{count} {reason}" for reason, count in excluded.items())
        raise GliascopeError(f"none of {frame.height} test slices can be used ({reasons}); scan them again")
    judged = _judged(bundle, frame, answered)
    record(folder, [ledger_entry("robustness", trained.recipe.name, bundle.info.model_sha256, split)])
    numbers = _numbers(judged)
    shown = _by_corruption(_shown(bundle, frame, answered, judged[0], seed))
    data = Robustness(
        title=f"{trained.recipe.name}, disturbed",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=RobustnessRun(
            recipe=trained.recipe.name, folder=str(trained.folder), protocol=split.protocol, seed=seed
        ),
        slices=len(answered),
        groups=judged[0].scores.group_count,
        tested=split.subset("test").height,
        excluded=dict(sorted(excluded.items())),
        judged=bundle.calibrator is not None,
        clean=numbers[0],
        disturbances=_corruptions(numbers),
    )
    write_pngs(folder, figures(data, shown))
    write_robustness(folder, data, shown)


def _own(trained: Run, catalog: Catalog, splits: Sequence[Split]) -> Split:
    """The first split of the run's training that leaves something to test, with the run's labels."""
    own = [split.for_task(trained.recipe.task) for split in splits_of_run(trained, splits, catalog)]
    tested = [split for split in own if not split.subset("test").is_empty()]
    if not tested:
        raise RunError(f"{trained.folder}: its split leaves no slice to test; disturb its members' instead")
    return tested[0]


def _judged(bundle: Bundle, frame: pl.DataFrame, answered: Sequence[CorruptedPredictions]) -> list[Judged]:
    """Answers to all slices, and the truth, under each of CONDITIONS."""
    rows = frame[[one.row for one in answered]]
    classes = bundle.info.classes
    labels = np.array([classes.index(label) for label in rows["label"]], dtype=np.int64)
    groups = rows["group"].to_numpy()
    return [
        Judged(
            Scores(np.stack([one.probabilities[number] for one in answered]), labels, groups, classes),
            [one.verdicts[number] for one in answered] if bundle.calibrator else None,
        )
        for number in range(len(CONDITIONS))
    ]


def _numbers(judged: Sequence[Judged]) -> list[RobustnessMetrics]:
    """Numbers of all slices under each of CONDITIONS."""
    found = []
    with progress("intervals", len(CONDITIONS)) as advance:
        for one in judged:
            found.append(evaluate_disturbed(one, judged[0], VERDICTS))
            advance(1)
    return found


def _corruptions(numbers: Sequence[RobustnessMetrics]) -> dict[str, Corruption]:
    """Numbers by corruption. numbers: under each of CONDITIONS."""
    found = {}
    for name, known in CORRUPTIONS.items():
        strengths = tuple(
            Strength(**dict(numbers[at]), strength=strength, setting=known.told.format(strength))
            for at, (condition, strength) in enumerate(CONDITIONS)
            if condition == name
        )
        found[name] = Corruption(
            title=known.title, imitates=known.imitates, worst=worst_strength(strengths), strengths=strengths
        )
    return found


def _by_corruption(shown: Sequence[Answer]) -> dict[str, list[Answer]]:
    """What is `shown` under each of CONDITIONS, by corruption: the slice as it is first."""
    clean, *_ = shown
    return {
        name: [
            clean,
            *(one for one, (condition, _) in zip(shown, CONDITIONS, strict=True) if condition == name),
        ]
        for name in CORRUPTIONS
    }


def _shown(
    bundle: Bundle, frame: pl.DataFrame, answered: Sequence[CorruptedPredictions], clean: Judged, seed: int
) -> list[Answer]:
    """One slice under each of CONDITIONS: the first with a tumour that is answered right, and accepted."""
    classes = bundle.info.classes

    def fitness(number: int) -> int:
        label = classes[clean.scores.labels[number]]
        accepted = clean.verdicts is None or clean.verdicts[number] == ACCEPTED
        return 4 * bool(clean.scores.correct[number]) + 2 * accepted + bool(label != "no_tumor")

    number = max(range(len(answered)), key=fitness)
    one, label = answered[number], int(clean.scores.labels[number])
    return [
        Answer(
            pixels,
            label=classes[label],
            said=classes[int(probabilities.argmax())],
            probability=float(probabilities.max()),
            verdict=verdict if bundle.calibrator else None,
        )
        for pixels, probabilities, verdict in zip(
            corrupt(read_original(frame, one.row), seed), one.probabilities, one.verdicts, strict=True
        )
    ]
