"""The main job: its time, and its accuracy under several protocols."""

from pathlib import Path

import polars as pl

from benchmarks.measure import Row, gliascope
from gliascope.evaluation.estimate import Estimate
from gliascope.reports.report import Report

OUT = "masoud7023"
CROSSVAL = "crossval"


def masoud7023(data: Path, work: Path) -> list[Row]:
    """From nothing to a report. official-clean is a part of the same test set, and costs no training."""
    arguments = ("run", data / "masoud7023", "--out", work / OUT, "--protocol", "official,official-clean")
    outcome = gliascope(*arguments, cache=work / "cache")
    name = "`run masoud7023 --protocol official,official-clean`"
    report = _report(work / OUT)
    return [
        _accuracy(name, report, "official", "≥ 99.2 %"),
        _accuracy(name, report, "official-clean", "≥ 98.8 %"),
        *_without_plain_twins(name, work / OUT),
        (f"{name}: epoch", f"{report['chosen_epoch']} of {len(report['curves'])}", ""),
        (f"{name}: whole job", f"{outcome.seconds / 60:.1f} minutes", "< 20 minutes"),
        (
            f"{name}: peak memory",
            f"{outcome.anonymous_gib:.2f} GiB; {outcome.peak_gib:.2f} GiB with mapped files",
            "< 4 GiB",
        ),
    ]


def _without_plain_twins(name: str, out: Path) -> list[Row]:
    """The official test less the slices that some training slice matches as it is, not mirrored nor cropped.

    More slices are left than in official-clean; what was measured on these sets before, was on them.
    """
    from gliascope.audit.leaks import has_copy
    from gliascope.audit.result import Audit
    from gliascope.commands.predictions import load_predictions, to_scores
    from gliascope.dataset.catalog import Catalog
    from gliascope.evaluation.metrics import evaluate_scores

    train = Catalog.load(out / "catalog.parquet").frame.filter(pl.col("official") == "train")["pixel_hash"]
    tested = load_predictions(out).filter(pl.col("protocol") == "official")
    copied = has_copy(tested["pixel_hash"], train, Audit.load(out / "audit").pairs, untransformed=True)
    left = tested.filter(~copied)
    scores = evaluate_scores(to_scores(left))
    where = f"official without plain twins, {left.height} slices"
    ece = scores["ece"]
    return [
        (f"{name}: accuracy, {where}", _interval(scores["accuracy"]), "≥ 98.8 %"),
        (f"{name}: ECE, {where}", f"{ece['value']:.4f} ({ece['low']:.4f}-{ece['high']:.4f})", "≤ 0.01"),
    ]


def grouped(data: Path, work: Path) -> list[Row]:
    """The same once more with a third protocol: what the job before left is found."""
    protocols = "official,official-clean,grouped"
    arguments = ("run", data / "masoud7023", "--out", work / OUT, "--protocol", protocols)
    outcome = gliascope(*arguments, cache=work / "cache")
    name = "`run masoud7023 --protocol official,official-clean,grouped`"
    report = _report(work / OUT)
    rows = [_accuracy(name, report, protocol) for protocol in protocols.split(",")]
    return [*rows, (f"{name}: minutes more", f"{outcome.seconds / 60:.1f}", "")]


def folds(data: Path, work: Path) -> list[Row]:
    """Five patient-disjoint folds of the distinct tumour slices that figshare_folds.csv knows."""
    names = "path=dataset_path,group=fold_run_id,fold=official_patient_fold_1to5"
    grouping = ("--groups", data / "figshare_folds.csv", "--group-columns", names)
    sources = (data / "masoud7023", data / "sartaj3264")
    out = work / "folds"
    arguments = ("run", *sources, "--out", out, "--protocol", "folds", *grouping)
    outcome = gliascope(*arguments, cache=work / "cache")
    name = "`run … --protocol folds --groups figshare_folds.csv`"
    result = _report(out).protocols["folds"]
    assert result.folds is not None
    spread = result.folds.balanced_accuracy
    return [
        (
            f"{name}: balanced accuracy on {result.n} distinct slices, pooled",
            _interval(result.balanced_accuracy),
            "≥ 92 %",
        ),
        (f"{name}: mean ± sd of 5 folds", f"{spread.mean:.2%} ± {spread.sd:.2%}", "≥ 92 %"),
        (f"{name}: whole job", f"{outcome.seconds / 60:.1f} minutes", ""),
    ]


def crossval(data: Path, work: Path) -> list[Row]:
    """Every slice judged by a model that never saw it."""
    outcome = gliascope("crossval", data / "masoud7023", "--out", work / CROSSVAL, cache=work / "cache")
    name = "`crossval masoud7023`"
    report = _report(work / CROSSVAL)
    result = report.protocols["folds"]
    assert result.sets is not None and result.verdicts is not None and result.calibration is not None
    sets = result.sets.methods[result.sets.method]
    outside = result.verdicts.by_verdict["out of scope"].share.value
    return [
        _accuracy(name, report, "folds"),
        (f"{name}: ECE", f"{result.calibration.ece.value:.4f}", ""),
        (
            f"{name}: 99 % sets",
            f"cover {sets.coverage.value:.1%} with {sets.size.value:.2f} classes",
            "",
        ),
        (f"{name}: in scope", f"{1 - outside:.1%}", "≥ 94 %"),
        (f"{name}: whole job", f"{outcome.seconds / 60:.1f} minutes", "< 75 minutes"),
    ]


def two_sources(data: Path, work: Path) -> list[Row]:
    out = work / "both"
    sources = (data / "masoud7023", data / "sartaj3264")
    arguments = ("run", *sources, "--out", out, "--protocol", "official,official-clean")
    outcome = gliascope(*arguments, cache=work / "cache-both")
    name = "`run masoud7023 sartaj3264 --protocol official,official-clean`"
    report = _report(out)
    return [
        _accuracy(name, report, "official"),
        _accuracy(name, report, "official-clean"),
        (f"{name}: whole job", f"{outcome.seconds / 60:.1f} minutes", ""),
    ]


def _report(out: Path) -> Report:
    return Report.load(out / Report.file)


def _accuracy(name: str, report: Report, protocol: str, target: str = "") -> Row:
    result = report.protocols[protocol]
    return f"{name}: accuracy, {protocol}, {result.n} slices", _interval(result.accuracy), target


def _interval(number: Estimate) -> str:
    return f"{number.value:.2%} ({number.low:.2%}-{number.high:.2%})"


SETTINGS = {
    "as it is": (),
    "crop, pad": ("preprocessing.crop=head", "preprocessing.fit=pad"),
    "crop, pad, standardise": (
        "preprocessing.crop=head",
        "preprocessing.fit=pad",
        "preprocessing.standardise=true",
    ),
}


def shortcuts(data: Path, work: Path) -> list[Row]:
    """How well border and background of the preprocessed picture tell tumour from no tumour."""
    catalog = work / "catalog.parquet"
    gliascope("scan", data / "masoud7023", "--out", catalog, cache=work / "cache")
    rows = []
    for name, overrides in SETTINGS.items():
        score = _border_probe(catalog, overrides)
        rows.append((f"border probe on masoud7023, {name}, training without copies", _interval(score), ""))
    return rows


def _border_probe(catalog: Path, overrides: tuple[str, ...]) -> dict[str, float]:
    from gliascope.audit.copies import find_near_copies
    from gliascope.audit.copy_groups import group_slices
    from gliascope.audit.shortcuts import find_shortcuts
    from gliascope.dataset.catalog import Catalog
    from gliascope.dataset.scan import make_thumbnails
    from gliascope.recipes import load_recipe
    from gliascope.store.store import store

    frame = Catalog.load(catalog).frame
    groups = group_slices(frame, find_near_copies(frame.unique("pixel_hash"))[0])
    images = store(frame, load_recipe("quick", overrides).preprocessing)
    pictures = [make_thumbnails(images.pixels[row])[0] for row in images.rows(frame["pixel_hash"])]
    probes = find_shortcuts(frame.with_columns(thumbnail=pl.Series(pictures)), groups, 0)
    return probes["border"].score.model_dump()


def cropped(data: Path, work: Path) -> list[Row]:
    """The main job on heads alone."""
    rows = []
    for name, overrides in list(SETTINGS.items())[1:]:
        out = work / name.replace(", ", "-")
        sets = [argument for override in overrides for argument in ("--set", override)]
        arguments = ("run", data / "masoud7023", "--out", out, "--protocol", "official,official-clean", *sets)
        gliascope(*arguments, cache=work / "cache")
        rows += [_accuracy(name, _report(out), protocol) for protocol in ("official", "official-clean")]
    return rows
