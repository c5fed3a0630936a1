"""The model card, MODEL_CARD.md: what a bundle is, its training data, its metrics, and its limits."""

from gliascope.inference.bundle import BundleInfo
from gliascope.reports.pages.checklist import check_items, count_states
from gliascope.reports.pages.notes import merged_notes
from gliascope.reports.pages.templates import render
from gliascope.reports.report import Report
from gliascope.runtime.formats import count, percent, span


def model_card(info: BundleInfo, report: Report) -> str:
    """Render the card from bundle.json and report.json.

    References
    ----------
    The headings follow Mitchell et al., Model Cards for Model Reporting, FAT* 2019. The checklist at the end
    is CLAIM 2024 (Tejani et al., Radiol. Artif. Intell. 6:e240300, 2024).
    """
    import yaml

    name, headline = next(iter(report.protocols.items()))
    found = check_items(report)
    return render(
        "MODEL_CARD.md.j2",
        info=info,
        report=report,
        recipe=yaml.safe_load(report.recipe) or {},
        name=name,
        headline=headline,
        notes=merged_notes({name: entry.notes for name, entry in report.protocols.items()}),
        unused=sum(source.total for source in report.sources)
        - sum(subset.total for subset in report.subsets),
        caveats=caveats(report),
        claim=found,
        counts=count_states(found),
    )


def caveats(report: Report) -> list[str]:
    """Return the limits of a model and its test, a sentence or two each."""
    closed = (
        "Whatever it is shown, it names one of its classes: another disease, another organ, no head at all."
    )
    return [closed, *_of_verdicts(report), *_of_data(report), *_of_tests(report)]


def _of_verdicts(report: Report) -> list[str]:
    if report.calibrator is None:
        known = report.headline.validation
        unused = known and not known[0].calibrated.slices
        why = " No validation slice was left to calibrate on: all trained or chose." if unused else ""
        return [f"Findings are `unchecked`: nothing is known of how far to go by them.{why}"]
    return [
        "A finding is `out of scope` where the slice is farther from the training slices than 95 % of the "
        "validation slices are. That finds photographs, noise and other organs, but not every stranger.",
        "A finding is `uncertain` where its prediction set is not of one class. The sets promise to hold the "
        f"truth for {percent(report.calibrator.level)} of patients like those it was calibrated on, and "
        "promise nothing for another scanner or hospital.",
    ]


def _of_data(report: Report) -> list[str]:
    said = ["Labels are what the sources call their slices; no tissue and no report was looked at."]
    audit = report.audit
    if audit is None:
        return [
            *said,
            "No audit was made: copies of training slices may be in the test, and the numbers too high.",
        ]
    if audit.protocol not in report.protocols:
        said.append(
            f"The audit calls for protocol `{audit.protocol}`, which was not tested: the numbers here are "
            "likely too high."
        )
    return [
        *said,
        "Patients whom no file names may be on both sides of a test, and numbers too high for that, too.",
    ]


def _of_tests(report: Report) -> list[str]:
    said = []
    if report.external:
        said.append("It was trained elsewhere. If slices tested here trained it, the numbers are too high.")
    elif outside := report.protocols.get("leave-source-out"):
        right = outside.accuracy
        interval = f" ({span(right)})" if span(right) else ""
        said.append(
            f"On sources that had no part in training, models of this recipe are right on "
            f"{percent(right.value)}{interval} of {count(outside.n)} slices. Expect no more elsewhere."
        )
    else:
        said.append("It was tested on no source but those it was trained on. Expect less from others.")
    if missing := report.headline.untested:
        said.append(f"It was not tested on {', '.join(missing)}: no test slice is of that class.")
    if not any(result.studies for result in report.protocols.values()):
        said.append(
            "It was tested on single slices that someone had picked. Most slices of a whole scan show no "
            "tumour; how it does on those is not known."
        )
    return [*said, "Test it on slices of your own, with labels you trust, before you build anything on it."]
