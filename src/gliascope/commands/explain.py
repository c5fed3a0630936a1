"""Compare a run's saliency maps with outlined lesions."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from gliascope.commands.figures import write_pngs
from gliascope.commands.lesion_cases import (
    BASELINE,
    ExplainedModel,
    LesionCase,
    choose_slices,
    peak_positions,
    training_hashes,
)
from gliascope.dataset.identity import connect
from gliascope.evaluation.localisation import (
    PeakPositions,
    centre_of_head,
    mean_share,
    summarise_localisation,
)
from gliascope.evaluation.perturbation import PerturbationCurves, perturbation_curves
from gliascope.inference.overlay import draw_overlay, enlarge_map
from gliascope.preprocessing.head import head_box
from gliascope.preprocessing.preprocess import to_grey, visible_box
from gliascope.recipes.run import Run
from gliascope.reports.explanation import (
    ExplainedRun,
    Explanation,
    HitRates,
    LesionSet,
    Perturbation,
    Randomisation,
    unchanged_methods,
)
from gliascope.reports.pages.explanation import ExplainedSlice, Gallery, figures, write_explanation
from gliascope.reports.pages.pictures import encode_jpeg
from gliascope.runtime.files import check_writable
from gliascope.runtime.progress import progress
from gliascope.saliency.methods import describe_method, saliency_maps
from gliascope.saliency.sanity_check import randomisation_cascade, rank_correlations

DEFAULT_METHODS = ("grad_cam", "hires_cam")
RANDOMISED = ("grad_cam", "hires_cam")  # for other methods, one map takes hundreds of forward passes
SEEDS = 2  # of random weights
MAX_EXAMPLES = 8
RANDOM = "random_order"


def explain_run(
    trained: Run,
    masks: Sequence[Path],
    folder: Path,
    *,
    methods: Sequence[str] = DEFAULT_METHODS,
    split: Path | None = None,
    limit: int | None = None,
    sample: int = 16,
) -> None:
    """Compare a run's saliency maps with outlined lesions; write explain.json, explain.html and figures.

    Parameters
    ----------
    trained
        A finished run.
    masks
        Tables or folders of slices with lesion masks, as `masked_slices` reads them.
    folder
        Where the results are written.
    methods
        Names of saliency methods.
    split
        The split of the run, to exclude its training and validation slices; by default the one beside it.
    limit
        Maximal number of slices of each entry of `masks`.
    sample
        Number of slices of each entry that the slow checks use: insertion, deletion and random weights.

    Raises
    ------
    GliascopeError
        If a method is unknown, or the run or the slices cannot be used.
    """
    check_writable(folder)
    described = {name: describe_method(name) for name in methods}
    model = ExplainedModel(trained)
    learned = training_hashes(trained, split)
    sets: dict[str, LesionSet] = {}
    galleries: dict[str, Gallery] = {}
    sampled: list[LesionCase] = []
    for source in masks:
        slices, excluded = choose_slices(model, source, limit, learned)
        with progress(f"explain {_name(source)}", len(slices)) as advance:
            cases = list(model.explain_slices(slices, methods, advance))
        order = np.random.default_rng(trained.recipe.seed).permutation(len(cases))
        few = [cases[number] for number in sorted(order[:sample])]
        name = _free_name(_name(source), sets)
        sets[name], galleries[name] = _lesion_set(
            model, cases, sampled=few, methods=methods, excluded=excluded
        )
        sampled += few
    randomised = _randomise(model, sampled, [name for name in methods if name in RANDOMISED])
    data = Explanation(
        title=f"{trained.recipe.name}, maps against lesions",
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        run=ExplainedRun(
            recipe=trained.recipe.name, folder=str(trained.folder), classes=tuple(model.classes)
        ),
        methods=described,
        baseline=BASELINE,
        sets=sets,
        randomised=randomised,
        unchanged=unchanged_methods(randomised),
        training_excluded=learned is not None,
    )
    write_pngs(folder, figures(data))
    write_explanation(folder, data, galleries)


def _lesion_set(
    model: ExplainedModel,
    cases: list[LesionCase],
    *,
    sampled: list[LesionCase],
    methods: Sequence[str],
    excluded: dict[str, int],
) -> tuple[LesionSet, Gallery]:
    """Compute the figures and pictures of one set of slices.

    The slow checks use the `sampled` cases only, and the page shows these first.
    """
    rows = [*methods, BASELINE]
    found = {name: peak_positions(cases, name, model.preprocessing) for name in rows}
    patients = connect([(case.slice.patient, case.slice.study) for case in cases])
    groups = np.array([patients.get(case.slice.patient or "", case.slice.patient) for case in cases])
    labels = np.array([case.label for case in cases])
    correct = np.array([case.is_correct for case in cases])
    area = [float(case.slice.mask.mean()) for case in cases if case.slice.mask is not None]
    codes = np.unique(groups, return_inverse=True)[1].astype(np.int64)
    subsets = {model.classes[label]: labels == label for label in np.unique(labels)}
    subsets |= {"answered right": correct, "answered wrong": ~correct}
    first = found[methods[0]]
    shown = [cases.index(case) for case in sampled[:MAX_EXAMPLES]]
    missed = [int(number) for number in np.argsort(-first.distance, kind="stable") if not first.hits[number]]
    numbers = LesionSet(
        n=len(cases),
        groups=int(codes.max()) + 1,
        area=float(np.mean(area)),
        accuracy=mean_share(correct.astype(np.float64), codes, 2000, 0),
        excluded=excluded,
        figures=summarise_localisation(found, BASELINE, groups),
        subsets={
            name: HitRates(
                n=int(which.sum()), hits={row: float(found[row].hits[which].mean()) for row in rows}
            )
            for name, which in subsets.items()
            if which.any()
        },
        curves=_curves(model, sampled, methods),
    )
    gallery = Gallery(
        random=[_seen(model, cases[number], found, number) for number in shown],
        misses=[_seen(model, cases[number], found, number) for number in missed[:MAX_EXAMPLES]],
    )
    return numbers, gallery


def _curves(
    model: ExplainedModel, cases: Sequence[LesionCase], methods: Sequence[str]
) -> dict[str, Perturbation]:
    """Return mean insertion and deletion curves, and areas under them, by method.

    The result also has the baseline, and a random order of the pixels.
    """
    side = (model.preprocessing.size, model.preprocessing.size)
    rows = [*methods, BASELINE, RANDOM]
    curves: dict[str, list[PerturbationCurves]] = {name: [] for name in rows}
    with progress("insertion and deletion", len(cases)) as advance:
        for case in cases:
            maps = {
                name: enlarge_map(case.maps[name], side, model.preprocessing.stored_box) for name in methods
            }
            maps[BASELINE] = centre_of_head(side, head_box(to_grey(case.pixels)))
            maps[RANDOM] = np.zeros(side, dtype=np.float32)
            for name in rows:
                curves[name].append(
                    perturbation_curves(case.pixels, maps[name], model.class_probability(case.label))
                )
            advance(1)
    return {
        name: Perturbation(
            n=len(found),
            insertion=float(np.mean([one.areas["insertion"] for one in found])),
            deletion=float(np.mean([one.areas["deletion"] for one in found])),
            insertion_curve=np.mean([one.insertion for one in found], axis=0).tolist(),
            deletion_curve=np.mean([one.deletion for one in found], axis=0).tolist(),
        )
        for name, found in curves.items()
    }


def _randomise(
    model: ExplainedModel, cases: Sequence[LesionCase], methods: Sequence[str]
) -> dict[str, Randomisation]:
    """Return how the maps of each method correlate with its maps under random weights.

    Weights are randomised layer by layer in a cascade; the correlation at each step is a mean over slices and
    seeds.
    """
    pixels = np.stack([case.pixels for case in cases])
    labels = np.array([case.label for case in cases], dtype=np.int64)
    before = {name: saliency_maps(name, model.subject, pixels, labels) for name in methods}
    by_step: dict[str, dict[str, list[float]]] = {name: {} for name in methods}
    with progress("random weights", SEEDS) as advance:
        for seed in range(SEEDS if methods else 0):
            for step, classifier in randomisation_cascade(model.subject.classifier, seed):
                for name in methods:
                    after = saliency_maps(name, replace(model.subject, classifier=classifier), pixels, labels)
                    correlations = rank_correlations(before[name], after)
                    by_step[name].setdefault(step, []).append(float(correlations.mean()))
            advance(1)
    return {
        name: Randomisation(
            n=len(cases), seeds=SEEDS, steps={step: float(np.mean(values)) for step, values in steps.items()}
        )
        for name, steps in by_step.items()
    }


def _seen(
    model: ExplainedModel, case: LesionCase, found: Mapping[str, PeakPositions], number: int
) -> ExplainedSlice:
    """Return the pictures of a case: the slice with the outline of its lesion, then each map over it."""
    pixels, mask = case.slice.pixels, case.slice.mask
    box = visible_box(pixels, model.preprocessing)
    blank = np.zeros((1, 1), dtype=np.float32)
    images = {"lesion": draw_overlay(pixels, blank, box, mask)}
    images |= {name: draw_overlay(pixels, one, box, mask) for name, one in case.maps.items()}
    predicted = int(case.probabilities.argmax())
    return ExplainedSlice(
        name=f"{case.slice.path.name}" + (f" [{case.slice.index}]" if case.slice.index else ""),
        label=case.slice.label or "",
        predicted=model.classes[predicted],
        probability=float(case.probabilities[predicted]),
        images={name: encode_jpeg(np.asarray(image), side=240) for name, image in images.items()},
        hits={name: bool(found[name].hits[number]) for name in case.maps},
    )


def _name(source: Path) -> str:
    """Return the name of a set: that of its folder."""
    path = source.resolve()
    return path.name if path.is_dir() else path.parent.name


def _free_name(name: str, taken: Mapping[str, object]) -> str:
    """Return the name, with a number behind it if another set has the name."""
    number = 2
    free = name
    while free in taken:
        free, number = f"{name} {number}", number + 1
    return free
