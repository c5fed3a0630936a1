"""Whether the deployed model's maps point into lesions: on phantoms, and on the two TCIA volumes."""

import csv
from pathlib import Path

from benchmarks.jobs import OUT
from benchmarks.measure import Row, gliascope
from gliascope.evaluation.localisation import Localisation
from gliascope.reports.explanation import Explanation

TCIA = "tcia_progression"


def phantoms(data: Path, work: Path) -> list[Row]:
    """The demo's model on the demo's test phantoms."""
    demo = work / "demo"
    gliascope("demo", "--out", demo, cache=work / "cache")
    gliascope(
        "explain", demo / "run", "--masks", demo / "phantoms" / "masks.csv", "--out", demo / "explain",
        cache=work / "cache",
    )  # fmt: skip
    return _rows("phantoms (`demo`)", demo / "explain", "phantoms", "≥ 0.9")


def tcia(data: Path, work: Path) -> list[Row]:
    """The model of masoud7023 on slices with tumour of two patients of another source; needs its run."""
    place = work / TCIA
    place.mkdir(exist_ok=True)
    with (place / "masks.csv").open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(("path", "mask", "label"))
        for patient in sorted((data / TCIA).iterdir()):
            table.writerow((patient / "Pre_Scan_T1.nii.gz", patient / "Pre_Mask.nii.gz", "glioma"))
    gliascope(
        "explain", work / OUT / "run", "--masks", place / "masks.csv", "--out", place / "explain",
        cache=work / "cache",
    )  # fmt: skip
    return _rows("TCIA (`masoud7023`'s run)", place / "explain", TCIA, "above the centre of the head")


def _rows(what: str, folder: Path, name: str, target: str) -> list[Row]:
    content = Explanation.load(folder / Explanation.file)
    found = content.sets[name]
    slices = f"{found.n} slices of {found.groups} patients"
    rows = [
        (f"`explain`, {what}: pointing game, {method}, {slices}", _game(figures), "")
        for method, figures in found.figures.items()
    ]
    rows[0] = (*rows[0][:2], target)
    correlation = [*content.randomised["grad_cam"].steps.values()][-1]
    said = f"`explain`, {what}: correlation with the map of random weights, grad_cam"
    return [*rows, (said, f"{correlation:.2f}", "far below 1")]


def _game(figures: Localisation) -> str:
    game, inside = (
        f"{share.value:.3f} ({share.low:.3f}-{share.high:.3f})"
        for share in (figures.pointing, figures.inside)
    )
    return f"{game}; into the lesion itself {inside}; energy {figures.energy.value:.3f}"
